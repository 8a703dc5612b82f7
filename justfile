# What takes longer than a change should wait for; what every change must pass is in .ci/run.

# Fuzzes all targets for so many minutes in all, spread over the cores; fuzz/README.md says more.
fuzz-all minutes:
    fuzz/run-all {{minutes}}

# Which changes of the wire and the envelope no test notices: hours.
mutants:
    .ci/mutants

# The long form of all proofs, with so many minutes of fuzzing; writes PROOF.md.
proof minutes="60":
    .ci/proof {{minutes}}
