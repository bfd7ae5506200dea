"""All readings that were ever done: filter, open again, compare, delete."""
