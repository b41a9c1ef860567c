"""The proof that PENNY keeps its promises, against real servers of the embedded stack."""
