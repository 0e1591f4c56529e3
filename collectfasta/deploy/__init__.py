"""The steps of a deploy: find, stage, plan, transfer, commit, delete what is stale."""
