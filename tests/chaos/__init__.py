"""A stack under load and faults, and an audit of what it acknowledged: `python -m tests.chaos`.

plan ──▶ faults ──▶ stack of a shape ◀── load (plain clients)
            │                              │
            └────────▶ ledger ◀────────────┘      every claim, answer and fault, in a file at once
                         │
             outages, audit ──▶ report
"""
