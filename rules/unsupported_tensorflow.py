"""Names of TensorFlow and Keras that are known and have no translation, with reason and advice."""

STRINGS = "PyTorch has no tensors of strings: keep them in Python's lists"
RAGGED = "PyTorch's nested tensors are another thing: pad the rows to one length, with a mask"
SPARSE = "sparse tensors: build torch.sparse_coo_tensor from the indices and values"
COLUMNS = "feature columns are gone from Keras 3: prepare the columns with NumPy or pandas first"
RECORDS = "TFRecord files: write the data in a format that Python reads, such as NumPy's .npz"
LITE = "TensorFlow Lite is a format of its own: export the PyTorch model by torch.export or ONNX"
ESTIMATOR = "estimators are gone from TensorFlow: write the model as a keras.Model first"
HUB = "models of TensorFlow Hub: look for the same model among PyTorch's (torch.hub, torchvision)"
APPLICATION = "weights of keras.applications: take the model of that name from torchvision.models"
DATASETS = "TensorFlow Datasets: take the data from torchvision.datasets, scikit-learn or a file"
TPU = "TPUs: PyTorch reaches them by torch_xla, with a loop of its own"
SESSION = (
    "this is TensorFlow 1: a graph that is run in a session. Bring the program to TensorFlow 2"
    " first (tf_upgrade_v2, then functions in place of placeholders), then translate it"
)
GRAPH = "PyTorch has no graphs: operations run as they are called"
LAPACK = "may choose other signs or another order than torch.linalg's: compare before relying on it"

_BY_REASON = {
    STRINGS: """tf.strings.unicode_decode tf.strings.unicode_encode tf.strings.unicode_split
        tf.strings.unicode_split_with_offsets tf.strings.bytes_split tf.strings.ngrams
        tf.strings.to_hash_bucket_fast tf.strings.to_hash_bucket tf.strings.reduce_join
        tf.strings.unicode_script tf.strings.unicode_transcode tf.compat.as_bytes""",
    RAGGED: """tf.ragged.constant tf.ragged.stack tf.ragged.range tf.RaggedTensor
        tf.RaggedTensor.from_row_splits tf.RaggedTensor.from_row_lengths
        tf.RaggedTensor.from_tensor tf.RaggedTensor.to_tensor tf.RaggedTensor.from_sparse
        tf.RaggedTensorSpec tf.data.Dataset.ragged_batch""",
    SPARSE: """tf.SparseTensor tf.sparse.to_dense tf.sparse.reorder tf.sparse.from_dense
        tf.sparse.sparse_dense_matmul tf.sparse.concat tf.sparse.add tf.sparse.slice
        tf.sparse.reduce_sum tf.sparse.reshape tf.io.serialize_sparse tf.SparseTensorSpec
        tf.IndexedSlices tf.sets.intersection tf.sets.union tf.sets.difference tf.sets.size
        tf.Variable.scatter_nd_update tf.Variable.scatter_update tf.Variable.scatter_sub
        tf.Variable.scatter_add tf.Variable.sparse_read""",
    COLUMNS: """tf.feature_column.numeric_column tf.feature_column.embedding_column
        tf.feature_column.categorical_column_with_vocabulary_list
        tf.feature_column.categorical_column_with_vocabulary_file
        tf.feature_column.categorical_column_with_hash_bucket
        tf.feature_column.categorical_column_with_identity tf.feature_column.indicator_column
        tf.feature_column.bucketized_column tf.feature_column.crossed_column tf.feature_column
        tf.feature_column.shared_embeddings tf.feature_column.make_parse_example_spec
        keras.layers.DenseFeatures""",
    RECORDS: """tf.train.Example tf.train.Feature tf.train.Features tf.train.Int64List
        tf.train.BytesList tf.train.FloatList tf.train.FeatureList tf.train.FeatureLists
        tf.train.SequenceExample tf.train.Example.FromString tf.io.TFRecordWriter
        tf.io.TFRecordOptions tf.io.FixedLenFeature tf.io.VarLenFeature
        tf.io.FixedLenSequenceFeature tf.io.parse_single_example tf.io.parse_example
        tf.io.parse_single_sequence_example tf.io.parse_tensor tf.io.serialize_tensor
        tf.io.decode_raw tf.io.decode_proto tf.data.TFRecordDataset""",
    HUB: """tensorflow_hub.KerasLayer tensorflow_hub.load tensorflow_hub.Module
        tensorflow_hub.resolve""",
    APPLICATION: " ".join(
        f"keras.applications.{name}"
        for name in """VGG16 VGG19 ResNet50 ResNet101 ResNet152 ResNet50V2 ResNet101V2 ResNet152V2
        InceptionV3 InceptionResNetV2 Xception MobileNet MobileNetV2 MobileNetV3Small
        MobileNetV3Large DenseNet121 DenseNet169 DenseNet201 NASNetMobile NASNetLarge
        EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5
        EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2S ConvNeXtTiny""".split()
    ),
    DATASETS: """tensorflow_datasets.load tensorflow_datasets.builder tensorflow_datasets.as_numpy
        tensorflow_datasets.Split.TRAIN tensorflow_datasets.Split.TEST
        tensorflow_datasets.Split.VALIDATION tensorflow_datasets.disable_progress_bar
        tensorflow_datasets.features.text.SubwordTextEncoder.build_from_corpus""",
    LITE: """tf.lite.Interpreter tf.lite.TFLiteConverter tf.lite.TFLiteConverter.from_saved_model
        tf.lite.TFLiteConverter.from_keras_model tf.lite.TFLiteConverter.from_concrete_functions
        tf.lite.Optimize.DEFAULT tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        tf.lite.OpsSet.TFLITE_BUILTINS tf.lite.OpsSet.SELECT_TF_OPS tf.lite.RepresentativeDataset
        tf.lite.Optimize.OPTIMIZE_FOR_SIZE tf.lite.Optimize.OPTIMIZE_FOR_LATENCY""",
    ESTIMATOR: """tf.estimator.LinearClassifier tf.estimator.LinearRegressor
        tf.estimator.DNNClassifier tf.estimator.DNNRegressor tf.estimator.BoostedTreesClassifier
        keras.estimator.model_to_estimator tf.estimator.Estimator tf.estimator.RunConfig
        tf.compat.v1.estimator.inputs.numpy_input_fn tf.estimator.EstimatorSpec""",
    TPU: """tf.tpu.experimental.initialize_tpu_system tf.config.experimental_connect_to_cluster
        tf.distribute.cluster_resolver.TPUClusterResolver tf.distribute.experimental.TPUStrategy
        tf.distribute.cluster_resolver.TPUClusterResolver.connect tf.distribute.TPUStrategy
        tf.distribute.cluster_resolver.TFConfigClusterResolver""",
    SESSION: """tf.Session tf.InteractiveSession tf.placeholder tf.placeholder_with_default
        tf.get_variable tf.variable_scope tf.global_variables_initializer
        tf.initialize_all_variables tf.local_variables_initializer tf.global_variables
        tf.trainable_variables tf.train.Saver tf.train.GradientDescentOptimizer
        tf.train.AdamOptimizer tf.train.RMSPropOptimizer tf.train.MomentumOptimizer
        tf.train.AdagradOptimizer tf.app.run tf.app.flags tf.flags tf.assign tf.assign_add
        tf.get_default_graph tf.reset_default_graph tf.get_default_session tf.ConfigProto
        tf.layers.dense tf.layers.conv2d tf.layers.max_pooling2d tf.layers.flatten
        tf.layers.batch_normalization tf.layers.dropout tf.contrib tf.to_float tf.to_int32
        tf.losses.softmax_cross_entropy tf.losses.get_total_loss tf.get_collection
        tf.add_to_collection tf.disable_eager_execution tf.disable_v2_behavior
        tf.summary.merge_all tf.summary.FileWriter tf.train.get_or_create_global_step
        tf.gradients tf.Session.run keras.backend.function keras.backend.placeholder
        keras.backend.get_session keras.backend.gradients keras.backend.learning_phase
        keras.backend.in_train_phase keras.backend.set_learning_phase keras.backend.set_session
        tf.Tensor.eval tf.compat.v1.Session tf.compat.v1.placeholder
        tf.compat.v1.InteractiveSession tf.compat.v1.get_default_graph tf.compat.v1.ConfigProto
        tf.compat.v1.global_variables_initializer tf.compat.v1.get_variable
        tf.compat.v1.disable_eager_execution tf.compat.v1.train.AdamOptimizer
        tf.compat.v1.train.Saver tf.compat.v1.variable_scope tf.compat.v1.disable_v2_behavior
        tf.compat.v1.losses.sigmoid_cross_entropy tf.compat.v1.reset_default_graph""",
    GRAPH: """tf.Graph tf.Tensor.graph tf.Tensor.op tf.Tensor.consumers tf.autograph.to_code
        tf.graph_util.convert_variables_to_constants tf.TensorSpec tf.TensorSpec.from_spec
        tf.broadcast_dynamic_shape tf.broadcast_static_shape tf.register_tensor_conversion_function
        tf.make_tensor_proto tf.make_ndarray tf.load_op_library tf.bitcast""",
    LAPACK: """tf.linalg.svd tf.linalg.qr tf.linalg.eig tf.eig tf.linalg.eigvals tf.eigvals
        tf.linalg.lu""",
}
UNSUPPORTED = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
UNSUPPORTED |= {
    "tf.custom_gradient": "write the function as a class derived from torch.autograd.Function",
    "tf.nn.ctc_loss": "torch.nn.functional.ctc_loss: labels and lengths go in as torch wants them",
    "tf.nn.sampled_softmax_loss": "sampled losses have no equal here: take the whole softmax",
    "tf.nn.nce_loss": "sampled losses have no equal here: take the whole softmax",
    "tf.signal.stft": "torch.stft pads and scales otherwise: window, hop and centering go in",
    "tf.signal.inverse_stft": "torch.istft pads and scales otherwise",
    "tf.signal.linear_to_mel_weight_matrix": "torchaudio.functional.melscale_fbanks is its equal",
    "tf.signal.mfccs_from_log_mel_spectrograms": "torchaudio.transforms.MFCC is its equal",
    "tf.audio.decode_wav": "read sounds with torchaudio.load",
    "tf.dynamic_partition": "write one mask per partition: [x[partitions == i] for i in range(n)]",
    "tf.dynamic_stitch": "write the parts into a new tensor by their indices",
    "tf.image.sample_distorted_bounding_box": "torchvision.transforms.RandomResizedCrop draws one",
    "tf.image.combined_non_max_suppression": "torchvision.ops.batched_nms takes its place",
    "tf.image.crop_and_resize": "torchvision.ops.roi_align takes its place",
    "tf.linalg.LinearOperatorLowerTriangular": "torch.tril keeps the lower triangle",
    "tf.lookup.StaticHashTable": "use a dict",
    "tf.lookup.StaticVocabularyTable": "use a dict",
    "tf.lookup.KeyValueTensorInitializer": "use a dict",
    "tf.experimental.numpy.experimental_enable_numpy_behavior": "tensors have NumPy's methods here",
    "keras.losses.Reduction.NONE": "Reduction names are gone from Keras 3: reduction=None",
    "keras.losses.Reduction.SUM": 'Reduction names are gone from Keras 3: reduction="sum"',
    "keras.activations.serialize": "a description of an activation: keep its name instead",
    "keras.initializers.serialize": "a description of an initializer: keep its name instead",
    "keras.regularizers.serialize": "a description of a regularizer: keep its number instead",
    "keras.constraints.serialize": "a description of a constraint: keep its name instead",
}
