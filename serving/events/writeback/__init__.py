"""Owners and scores written back to a CRM, by the calls that its vendor documents. One file a CRM."""
