"""The only room that speaks SQL. A wing: imports core, is imported by app."""
