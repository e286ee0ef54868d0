"""The counter of parameters and multiply-accumulates, under the name that tests use."""

from medseg.networks.cost import COSTS, CostCounter, count_cost

__all__ = ["COSTS", "CostCounter", "count_cost"]
