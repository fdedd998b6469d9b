import numpy as np

from momentumflow.numeric import diabetes_regression, implicit_solution, momentum_descent

problem = diabetes_regression()
run = momentum_descent(problem, gamma=1e-2, beta=0.95, init=0.1)
predicted = run.predicted_limit()
naive = implicit_solution(problem, run.initial_balancedness)
for name, limit in (("asymptotic", predicted), ("initial", naive)):
    distance = np.linalg.norm(run.theta - limit.theta) / np.linalg.norm(limit.theta)
    print(f"with the {name} balancedness: {limit.status.name}, {distance:.1e} from the run")
