"""Demo data for a fictional SaaS company: the source tables below the demo's dbt project."""
