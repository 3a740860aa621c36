"""The Raft properties as code, watching every event of a cluster.

Events go in (`events`), violations come out (`observer`); each property is a file that begins with
its source, its formal sentence and its cost. Not their business: who drives the nodes, and what
clients make of the answers.

    P1  election_safety         P9  nothing_forgotten   P17 sometimes
    P2  leader_append_only      P10 commit_on_quorum    P18 liveness
    P3  log_matching            P11 pre_vote            P19 equal_states
    P4  leader_completeness     P12 one_configuration   P20 lost_data
    P5  state_machine_safety    P13 read_index          P21 effective_configuration
    P6  commit_monotonic        P14 apply_in_order      P22 stable_leader
    P7  vote_once               P15 monotonic_state     P23 exactly_once
    P8  durable_before_visible  P16 state_ordering
"""
