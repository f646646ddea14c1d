"""Whom a key is for; what each may do stands beside the routes and the pages."""

ROLES = ("crm", "rep", "manager", "analyst", "admin")
