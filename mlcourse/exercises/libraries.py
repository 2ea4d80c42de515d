"""What libraries offer for the asking: the names that would make an exercise on one of these ideas empty."""

from __future__ import annotations

# Estimators, metrics and helpers that answer most exercises on numbers by themselves, under hundreds of names.
ESTIMATORS = ("sklearn",)
STATISTICS = (*ESTIMATORS, "scipy.stats", "statistics")
DISTRIBUTIONS = ("torch.distributions", "scipy.stats", *ESTIMATORS)
FUSED_ATTENTION = (
    *("torch.nn.functional.scaled_dot_product_attention", "torch.ops.aten.scaled_dot_product_attention"),
    *("torch.nn.attention.flex_attention.flex_attention", "torch.nn.functional.multi_head_attention_forward"),
    *("torch.nn.MultiheadAttention", "torch.nn.attention.varlen", "torch._native_multi_head_attention"),
    *(f"torch._scaled_dot_product_{name}" for name in ("attention_math", "attention_math_for_mps", "cudnn_attention")),
    *(f"torch._scaled_dot_product_{name}" for name in ("efficient_attention", "flash_attention")),
    *("torch._scaled_dot_product_flash_attention_for_cpu", "torch._flash_attention_forward_no_dropout_inplace"),
    *("torch._triton_multi_head_attention", "torch._triton_scaled_dot_attention"),
)
CROSS_ENTROPY = (
    *(f"torch.nn.functional.{name}" for name in ("cross_entropy", "nll_loss", "kl_div", "linear_cross_entropy")),
    *(f"torch.nn.{name}" for name in ("CrossEntropyLoss", "NLLLoss", "NLLLoss2d", "KLDivLoss")),
    "torch.nn.LinearCrossEntropyLoss",
    *(
        "torch.nn.AdaptiveLogSoftmaxWithLoss",
        "torch.distributions.Categorical",
        "torch.distributions.OneHotCategorical",
    ),
    *("sklearn.metrics.log_loss", "sklearn._loss.HalfMultinomialLoss", "sklearn._loss.loss.HalfMultinomialLoss"),
    *DISTRIBUTIONS,
)
LOG_SOFTMAX = (
    *("scipy.special.log_softmax", "torch.log_softmax", "torch._log_softmax", "torch.special.log_softmax"),
    *("torch.Tensor.log_softmax", "torch.nn.functional.log_softmax", "torch.nn.LogSoftmax", "torch.masked.log_softmax"),
    *("torch.sparse.log_softmax", "torch.nn.AdaptiveLogSoftmaxWithLoss"),
    *("torch.distributions.Categorical", "torch.distributions.OneHotCategorical", *DISTRIBUTIONS),
)
MASKED_SOFTMAX = (
    *(f"torch.masked.{name}" for name in ("softmax", "log_softmax", "softmin")),
    *("torch._masked_softmax", "torch._safe_softmax", "torch.masked"),
    *("torch.sparse.softmax", "torch.sparse.log_softmax"),
)
SOFTMAX = (
    *("scipy.special.softmax", "torch.softmax", "torch._softmax", "torch.special.softmax", "torch.Tensor.softmax"),
    *(f"torch.nn.functional.{name}" for name in ("softmax", "softmin", "gumbel_softmax")),
    *("torch.nn.Softmax", "torch.nn.Softmax2d", "torch.nn.Softmin", "torch.sparse.softmax"),
    *("torch.distributions.SoftmaxTransform", "torch.distributions.utils.logits_to_probs"),
    *("sklearn.utils.extmath.softmax", "sklearn.neural_network._base.inplace_softmax"),
    *("sklearn._loss.link.MultinomialLogit", "torch._nested_tensor_softmax_with_shape"),
    *(*MASKED_SOFTMAX, *LOG_SOFTMAX, *FUSED_ATTENTION, *CROSS_ENTROPY),
)
LOGSUMEXP = (
    *("scipy.special.logsumexp", "torch.logsumexp", "torch.special.logsumexp", "torch.Tensor.logsumexp"),
    *("torch.logcumsumexp", "torch.Tensor.logcumsumexp", "torch.masked.logsumexp"),
)
LOGADDEXP = (
    *("numpy.logaddexp", "numpy.logaddexp2", "torch.logaddexp", "torch.logaddexp2"),
    *("torch.Tensor.logaddexp", "torch.Tensor.logaddexp2", "torch.masked.logaddexp"),
)
SIGMOID = (
    *("scipy.special.expit", "scipy.special.log_expit", "scipy.special.cython_special", "scipy.stats.logistic"),
    *("torch.sigmoid", "torch.sigmoid_", "torch.special.expit", "torch.Tensor.sigmoid", "torch.Tensor.sigmoid_"),
    *(f"torch.nn.functional.{name}" for name in ("sigmoid", "logsigmoid", "glu", "silu")),
    *(f"torch.nn.{name}" for name in ("Sigmoid", "LogSigmoid", "GLU", "SiLU")),
    *("torch.nn.functional.binary_cross_entropy_with_logits", "torch.nn.BCEWithLogitsLoss"),
    *("sklearn.neural_network._base.inplace_logistic", "sklearn.neural_network._base.ACTIVATIONS"),
    *(f"torch.distributions.{name}" for name in ("Bernoulli", "SigmoidTransform")),
    *("torch.distributions.transforms.SigmoidTransform", "sklearn._loss.link.LogitLink"),
    *(f"torch.nn.functional.{name}" for name in ("soft_margin_loss", "multilabel_soft_margin_loss")),
    *("torch.nn.SoftMarginLoss", "torch.nn.MultiLabelSoftMarginLoss"),
    *("torch.lstm_cell", "torch.gru_cell", "torch.lstm", "torch.gru", "torch.nn.modules.rnn"),
    *("torch._foreach_sigmoid", "torch._foreach_sigmoid_", "scipy.special.tklmbda", *DISTRIBUTIONS),
)
TRANSFORMS = ("grad", "grad_and_value", "vjp", "jvp", "jacrev", "jacfwd", "hessian", "linearize")
AUTOGRAD = (
    *("torch.autograd.grad", "torch.autograd.backward", "torch.Tensor.backward", "torch.autograd.forward_ad"),
    *("torch.Tensor.grad_fn", "torch.autograd.graph.get_gradient_edge"),  # from a result to what derives it, by steps
    *(f"torch.autograd.functional.{name}" for name in ("jacobian", "hessian", "vjp", "jvp", "hvp", "vhp")),
    "torch.autograd.functional._autograd_grad",
    *(f"torch.func.{name}" for name in TRANSFORMS),
    *(f"functorch.{name}" for name in TRANSFORMS),
    *(f"torch._functorch.eager_transforms.{name}" for name in (*TRANSFORMS, "grad_impl", "grad_and_value_impl")),
    *("torch.autograd.graph._engine_run_backward", "torch.autograd.Variable._execution_engine"),
    *("torch.autograd.variable.Variable._execution_engine", "torch.autograd._engine_run_backward"),
    *("torch.autograd.gradcheck", "torch.autograd.gradcheck._check_analytical_jacobian_attributes", "mpmath"),
    *("torch._softmax_backward_data", "torch._log_softmax_backward_data"),
    *("torch._sparse_softmax_backward_data", "torch._sparse_log_softmax_backward_data"),
    *("scipy.differentiate", "scipy.optimize.approx_fprime", "scipy.optimize._numdiff", *ESTIMATORS),
)
LEAST_SQUARES = (
    *(f"sklearn.linear_model.{name}" for name in ("LinearRegression", "Ridge", "ridge_regression")),
    *("sklearn.linear_model", "sklearn.kernel_ridge.KernelRidge", "sklearn.compose.TransformedTargetRegressor"),
    *ESTIMATORS,
)
COSINES = (
    *(f"sklearn.metrics.pairwise.{name}" for name in ("cosine_similarity", "cosine_distances", "pairwise_kernels")),
    *("sklearn.metrics.pairwise_distances", "sklearn.metrics.pairwise.pairwise_distances"),
    "sklearn.metrics.pairwise.PAIRWISE_KERNEL_FUNCTIONS",
    *("sklearn.metrics.pairwise.PAIRWISE_DISTANCE_FUNCTIONS", "sklearn.metrics.pairwise.paired_cosine_distances"),
    *("scipy.spatial.distance.cosine", "scipy.spatial.distance.cdist", "scipy.spatial.distance.pdist"),
    *("torch.nn.functional.cosine_similarity", "torch.cosine_similarity", "torch.nn.CosineSimilarity"),
    *("torch.nn.functional.cosine_embedding_loss", "torch.nn.CosineEmbeddingLoss", "scipy.spatial.distance"),
    *("numpy.corrcoef", "numpy.ma.corrcoef", "torch.corrcoef"),
    *ESTIMATORS,
)
