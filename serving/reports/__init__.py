"""Figures behind the pages: pure functions of facts, each estimate with its interval or the reason for none."""
