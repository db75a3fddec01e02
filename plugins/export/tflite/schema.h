/* What of LiteRT's schemas is written here: the numbers of tables' fields, of types and of
 * operators. Models:
 * https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs,
 * metadata:
 * https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
 */
#ifndef NASHOST_TFLITE_SCHEMA_H
#define NASHOST_TFLITE_SCHEMA_H

#define TFLITE_IDENTIFIER "TFL3"
#define TFLITE_METADATA_IDENTIFIER "M001"

enum { TFLITE_VERSION = 3 };

/* ---- Models: fields of tables ---- */

enum {
    MODEL_VERSION = 0,
    MODEL_OPERATOR_CODES = 1,
    MODEL_SUBGRAPHS = 2,
    MODEL_DESCRIPTION = 3,
    MODEL_BUFFERS = 4,
    MODEL_METADATA = 6,
    MODEL_SIGNATURES = 7,

    CODE_OLD_BUILTIN = 0, /* for readers that know only numbers below 128 */
    CODE_VERSION = 2,
    CODE_BUILTIN = 3,

    SUBGRAPH_TENSORS = 0,
    SUBGRAPH_INPUTS = 1,
    SUBGRAPH_OUTPUTS = 2,
    SUBGRAPH_OPERATORS = 3,
    SUBGRAPH_NAME = 4,

    TENSOR_SHAPE = 0,
    TENSOR_TYPE = 1,
    TENSOR_BUFFER = 2,
    TENSOR_NAME = 3,
    TENSOR_QUANTIZATION = 4,

    QUANTIZATION_SCALE = 2,
    QUANTIZATION_ZERO_POINT = 3,
    QUANTIZATION_DIMENSION = 6,

    OPERATOR_CODE = 0,
    OPERATOR_INPUTS = 1,
    OPERATOR_OUTPUTS = 2,
    OPERATOR_OPTIONS_TYPE = 3,
    OPERATOR_OPTIONS = 4,

    BUFFER_DATA = 0,

    NAMED_BUFFER_NAME = 0, /* the table Metadata */
    NAMED_BUFFER_BUFFER = 1,

    SIGNATURE_INPUTS = 0,
    SIGNATURE_OUTPUTS = 1,
    SIGNATURE_KEY = 2,

    TENSOR_MAP_NAME = 0,
    TENSOR_MAP_INDEX = 1,
};

/* Tensors' types. */
enum { TYPE_FLOAT32 = 0, TYPE_FLOAT16 = 1, TYPE_INT32 = 2, TYPE_INT8 = 9 };

/* Paddings, and activations within an operator. */
enum { PADDING_SAME = 0, PADDING_VALID = 1 };
enum { FUSED_NONE = 0, FUSED_RELU = 1, FUSED_RELU6 = 3 };

/* Operators. */
enum {
    BUILTIN_ADD = 0,
    BUILTIN_CONV_2D = 3,
    BUILTIN_DEPTHWISE_CONV_2D = 4,
    BUILTIN_DEQUANTIZE = 6,
    BUILTIN_FULLY_CONNECTED = 9,
    BUILTIN_LOGISTIC = 14,
    BUILTIN_MUL = 18,
    BUILTIN_RELU = 19,
    BUILTIN_RELU6 = 21,
    BUILTIN_PAD = 34,
    BUILTIN_MEAN = 40,
    BUILTIN_MINIMUM = 57,
    BUILTIN_HARD_SWISH = 117,
};

/* Their options' tables: numbers in the union, 0: none; and fields. */
enum {
    OPTIONS_NONE = 0,
    OPTIONS_CONV_2D = 1,
    OPTIONS_DEPTHWISE_CONV_2D = 2,
    OPTIONS_FULLY_CONNECTED = 8,
    OPTIONS_ADD = 11,
    OPTIONS_MUL = 21,
    OPTIONS_PAD = 22,
    OPTIONS_REDUCER = 27,
    OPTIONS_DEQUANTIZE = 38,
    OPTIONS_MINIMUM = 39,
    OPTIONS_HARD_SWISH = 91,

    CONV_PADDING = 0, /* of both convolutions */
    CONV_STRIDE_W = 1,
    CONV_STRIDE_H = 2,
    CONV_ACTIVATION = 3,
    DEPTHWISE_MULTIPLIER = 3,
    DEPTHWISE_ACTIVATION = 4,
    PLAIN_ACTIVATION = 0, /* of FULLY_CONNECTED, ADD and MUL */
    REDUCER_KEEP_DIMS = 0,
};

/* ---- Metadata ---- */

enum {
    METADATA_NAME = 0,
    METADATA_DESCRIPTION = 1,
    METADATA_SUBGRAPHS = 3,
    METADATA_MIN_PARSER = 7,

    ABOUT_SUBGRAPH_INPUTS = 2,
    ABOUT_SUBGRAPH_OUTPUTS = 3,

    ABOUT_TENSOR_NAME = 0,
    ABOUT_TENSOR_DESCRIPTION = 1,
    ABOUT_TENSOR_CONTENT = 3,
    ABOUT_TENSOR_PROCESS_UNITS = 4,
    ABOUT_TENSOR_FILES = 6,

    CONTENT_TYPE = 0,
    CONTENT_PROPERTIES = 1,
    IMAGE_COLOR_SPACE = 0,

    UNIT_TYPE = 0,
    UNIT_OPTIONS = 1,
    NORMALIZATION_MEAN = 0,
    NORMALIZATION_STD = 1,

    FILE_NAME = 0,
    FILE_DESCRIPTION = 1,
    FILE_TYPE = 2,
};

enum { CONTENT_FEATURE = 1, CONTENT_IMAGE = 2 };
enum { COLOR_UNKNOWN = 0, COLOR_RGB = 1, COLOR_GRAYSCALE = 2 };
enum { UNIT_NORMALIZATION = 1 };
enum { FILE_TENSOR_AXIS_LABELS = 2 };

#endif
