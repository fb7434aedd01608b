"""The only room that imports cogames, mettagrid, metta_alo or pufferlib; their quirks are dealt with here."""
