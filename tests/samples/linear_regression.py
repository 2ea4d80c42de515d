# A realistic student: some answers right, one known misconception, one unfinished, one that fails at an edge.
# Each cell is titled by the grade_id of the notebook cell that it fills.

# %% fit_least_squares
def fit_least_squares(X, y):
    """Return the weights and the intercept of the best affine fit."""
    with_ones = np.hstack([X, np.ones((len(X), 1))])
    solution, *_ = np.linalg.lstsq(with_ones, y, rcond=None)
    return solution[:-1], solution[-1]


# %% mse_gradient
def mse_gradient(A, y, theta):
    """Return the gradient of the mean squared error."""
    return 2 * A.T @ (A @ theta - y)


# %% gradient_descent
def gradient_descent(A, y, start, step_size, steps):
    """Return the path of gradient descent."""
    path = [np.array(start, dtype=float)]
    for _ in range(steps):
        theta = path[-1]
        path.append(theta - step_size * 2 / len(y) * A.T @ (A @ theta - y))
    return np.array(path)


# %% r2_score
def r2_score(y, predictions):
    """Return the share of the variation of y that the predictions explain."""
    return 1 - np.mean((y - predictions) ** 2) / np.var(y)


# %% reduce_loss
def reduce_loss(losses, weights):
    """Return the mean, the largest and the weighted mean of the losses."""
    return losses.mean(), losses.max(), (losses @ weights) / weights.sum()


# %% [markdown] explain_step_size
# Near the minimum the loss is a parabola in every direction. If a step is longer than twice the distance to the bottom,
# it lands higher on the other side than where it began. The steepest direction, the one with the largest eigenvalue of
# $\frac{2}{n} A^\top A$, fails first, so the step must be smaller than two over that eigenvalue.
