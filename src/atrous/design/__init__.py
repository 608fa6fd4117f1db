"""Networks from goals: schedules of dilations, and better ones for models that exist."""
