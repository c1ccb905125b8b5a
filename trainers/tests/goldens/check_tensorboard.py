"""Reads an event file of the test `event_files_hold_what_was_written` with TensorBoard's own reader.

    TENSORBOARD_CHECK=/tmp/board cargo test -p anygrad-trainers --test report event_files
    python3 check_tensorboard.py /tmp/board
"""
import io
import math
import sys
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

board = EventAccumulator(sys.argv[1], size_guidance={k: 0 for k in ["scalars", "histograms", "images", "tensors"]})
board.Reload()
print(board.Tags())
loss = [(e.step, e.value) for e in board.Scalars("step/loss")]
assert [s for s, _ in loss] == [5, 10, 15, 20, 25, 30] and all(abs(v - 2 / s) < 1e-7 for s, v in loss), loss
assert math.isnan(board.Scalars("nan")[0].value)
assert [e.step for e in board.Scalars("epoch/valid.accuracy")] == [20, 30]
histogram = board.Histograms("layer/weight")[0].histogram_value
assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (0, 99, 100, 4950), histogram
assert sum(histogram.bucket) == 100 and len(histogram.bucket) == len(histogram.bucket_limit) == 65
assert sum(board.Histograms("flat")[0].histogram_value.bucket) == 9
picture = Image.open(io.BytesIO(board.Images("picture")[0].encoded_image_string))
assert (picture.mode, picture.size) == ("RGB", (2, 2)), picture
assert [picture.getpixel((x, y)) for y in (0, 1) for x in (0, 1)] == [(255, 128, 255)] + [(0, 0, 255)] * 3
grey = Image.open(io.BytesIO(board.Images("grey")[0].encoded_image_string))
assert (grey.mode, grey.size) == ("L", (3, 5)) and set(grey.tobytes()) == {128}
text = board.Tensors("hyperparameters/text_summary")[0].tensor_proto.string_val[0].decode()
assert "| lr | 0.001 |" in text, text
print("all as written")
