"""Attribute names that Keras keeps for itself on layers and models."""

RESERVED_ATTRIBUTES = frozenset(
    """activity_regularizer add_loss add_metric add_weight autocast build built call compile
    compiled compiled_loss compiled_metrics compute_dtype compute_loss compute_mask
    compute_metrics compute_output_shape compute_output_spec count_params
    distribute_strategy dtype dtype_policy evaluate export fit from_config
    get_build_config get_compile_config get_config get_layer get_metrics_result
    get_weights input input_dtype input_shape input_spec inputs jit_compile layers
    load_own_variables load_weights loss losses make_predict_function make_test_function
    make_train_function metrics metrics_names metrics_variables name name_scope
    non_trainable_variables non_trainable_weights optimizer output output_shape outputs
    path predict predict_on_batch predict_step quantize run_eagerly save
    save_own_variables save_weights set_weights stateless_call stop_training submodules
    summary supports_jit supports_masking test_on_batch test_step to_json train_on_batch
    train_step trainable trainable_variables trainable_weights variable_dtype variables
    weights stop_evaluating stop_predicting""".split()
)
"""Read-only properties and methods of `keras.Model` that a program's own attributes may not replace
(Keras 3 Layer and Model API)."""
