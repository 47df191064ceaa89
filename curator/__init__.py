"""curator: say in SQL which text is worth training on, and find out whether it was."""
