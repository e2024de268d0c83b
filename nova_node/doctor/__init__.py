"""Why is a peer missing? `gather` looks at the machine and asks around, `decide` judges what was
found and touches nothing, `report` puts it into words."""
