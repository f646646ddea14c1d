"""Files and frames as somebody else wrote them -> checked tables, and back; `data.dataset` is its door."""
