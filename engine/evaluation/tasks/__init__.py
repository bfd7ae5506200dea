"""What is measured: one module a family of tasks."""
