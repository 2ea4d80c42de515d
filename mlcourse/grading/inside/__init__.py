"""What runs inside the sandbox, beside the submission. It knows no reference, no seed and no mark."""
