"""The rule by which a challenger becomes champion: options, checks, decision."""
