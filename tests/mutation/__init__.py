"""Changes the code in one place at a time and runs the nearest tests, which must fail: `python -m tests.mutation`.

`--sample 60 --seed 1` draws sixty changes, evenly from each kind (`mutant.Operator`), from the modules on which money,
consensus and delivery depend (`sources`); `--only PATH` draws from one file or folder, `--list` only prints them. Each
change is made on a copy of the tree; the tests that run the changed line run there, the quickest first, until one fails
or never ends. The first use measures which tests run which lines (some minutes), later uses measure changed test files
again; `--fresh` measures all. A change that no test notices is printed with its tests: either a test is missing, or the
change makes no visible difference and goes into `reviewed.toml` with the reason.

mutmut and cosmic-ray do not serve: they know neither Lua nor our kinds of change (a guard or a call dropped), and do
not choose among tests that need servers.
"""
