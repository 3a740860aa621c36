"""The states of a plan: all of them, counted, in a useful order, and explained when they are seen."""

import random

import pytest
from brute_force import MODELS, BruteForce, State
from hypothesis import given, settings
from hypothesis import strategies as st

from durability.crash.models import Model
from durability.crash.moment import CrashState
from durability.crash.plan import Plan
from durability.crash.validation.script import Script
