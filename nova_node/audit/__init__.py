"""Who did what to which task or member, and from where: kept so that a change of it is found."""
