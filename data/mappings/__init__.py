"""Ready mappings, one YAML file a CRM or public data set; they have the format of dataset.yaml."""
