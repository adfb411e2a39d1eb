"""The six proofs, one module each; infra.drill.gather calls them."""
