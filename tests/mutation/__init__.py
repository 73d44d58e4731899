"""Changes the code one thing at a time and asks the nearest tests whether they notice: `python -m tests.mutation`.

`--sample 60 --seed 1` draws sixty changes, of each kind alike (`mutant.Operator`), from the modules that money,
consensus and delivery hang on (`sources`); `--only PATH` draws from one file or folder, `--list` only shows them.
Each runs on a copy of the tree, with the tests that run the changed line, the quickest first, up to the first that
fails. A change after which a test never ends is noticed too. Which tests run a line is measured at the first use
(some minutes), and again for test files that changed; `--fresh` measures all. What passed unnoticed is shown with its
tests: either a test is missing, or nobody could see a difference, and the change goes into `reviewed.toml` with the
reason.

It is our own because mutmut and cosmic-ray know neither Lua nor our kinds of change (a guard or a call dropped), and do
not choose among tests that need servers.
"""
