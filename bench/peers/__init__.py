"""What PENNY is measured against, each as its users would write it; programs of their own that import nothing of PENNY."""
