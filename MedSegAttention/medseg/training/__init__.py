"""From labelled cases to a bundle.

Three records say what is trained: a user decides in ``planning.config.TrainingConfig``, a ``planning.plan.Plan`` holds
what will be done with every number, and another program sends a ``spec.training_job.TrainingJob``, which becomes a
configuration.
"""
