"""Writes small files of other libraries, and what they hold, for tests/formats.rs: python formats.py"""

import json
from pathlib import Path

import pandas
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

here = Path(__file__).parent

# Parquet: types, missing values; snappy is pandas' default.
table = pandas.DataFrame(
    {
        "flag": [True, False, None, True],
        "small": pandas.array([1, -2, None, 127], dtype="Int8"),
        "large": [2**40, -1, 0, 5],
        "real": [0.5, None, -1.25, 1e300],
        "half": pandas.array([1.5, 2.5, 3.5, None], dtype="Float32"),
        "word": ["red", "green", None, "blå"],
        "day": pandas.to_datetime(["2020-02-29", "1969-12-31", "2000-01-01", "2038-01-19"]).date,
    }
)
table.to_parquet(here / "table.parquet", index=False)
table.iloc[:2].to_parquet(here / "table_gzip.parquet", index=False, compression="gzip")
pandas.DataFrame({"list": [[1, 2], [3]]}).to_parquet(here / "table_nested.parquet", index=False)

# Safetensors: inputs, targets, other types.
torch.manual_seed(0)
tensors = {
    "x": torch.tensor([[0.5, -1.0], [2.0, 3.5], [-4.0, 0.25]]),
    "y": torch.tensor([2, 0, 1]),
    "brain": torch.tensor([1.5, -2.0, 3.0], dtype=torch.bfloat16),
    "bytes": torch.tensor([0, 255, 7], dtype=torch.uint8),
    "flags": torch.tensor([True, False, True]),
}
save_file(tensors, here / "tensors.safetensors")
save_file({"far": torch.tensor([1, 2**40])}, here / "tensors_far.safetensors")

# Byte pairs: a vocabulary as GPT-2's, learned from this file.
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
text = Path(__file__).read_text()
learner = trainers.BpeTrainer(
    vocab_size=320, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[]
)
tokenizer.train_from_iterator(text.splitlines(keepends=True), learner)
tokenizer.save(str(here / "tokenizer.json"))
texts = ["import json", "A table of tokens: 12 + 30.\n\n", "grün \N{SNOWMAN}", ""]
ids = [tokenizer.encode(text).ids for text in texts]
Path(here / "formats.json").write_text(json.dumps({"texts": texts, "ids": ids}))
