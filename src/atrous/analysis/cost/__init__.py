"""Cost: parameters, operations, memory, time; designs side by side."""
