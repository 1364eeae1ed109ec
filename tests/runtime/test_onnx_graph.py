"""Networks of strangers compute within limits, and read no files but their own."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bassdiff.runtime import onnx_graph
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.onnx_graph import open_graph


def save(path, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def loop(path):
    """Takes a number of rounds of nothing much."""
    row, yes = ("a", TensorProto.FLOAT, [1000]), ("c", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Sin", ["a"], ["b"])],
        "body",
        [helper.make_tensor_value_info(*one) for one in (("i", TensorProto.INT64, []), yes, row)],
        [helper.make_tensor_value_info(*one) for one in (("d", *yes[1:]), ("b", *row[1:]))],
    )
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    inputs = [("n", TensorProto.INT64, []), ("x", TensorProto.FLOAT, [1000])]
    return save(path, [node], inputs, [("y", TensorProto.FLOAT, [1000])])


def test_a_graph_that_computes_too_long_is_ended(tmp_path, monkeypatch):
    graph = open_graph(loop(tmp_path / "a.onnx"), "a test", "embedders", ["CPUExecutionProvider"])
    assert [one.name for one in graph.inputs] == ["n", "x"]
    ones = np.ones(1000, np.float32)
    np.testing.assert_allclose(
        graph.run({"n": np.array(2), "x": ones})[0], np.sin(np.sin(ones)), rtol=1e-5
    )
    monkeypatch.setattr(onnx_graph, "_LONGEST_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"a\.onnx: computes for more than 0\.5 s"):
        graph.run({"n": np.array(1 << 40), "x": ones})


def test_a_graph_that_takes_too_much_memory_is_refused(tmp_path):
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["y"]),
        helper.make_node("ReduceSum", ["y"], ["z"], keepdims=0),
    ]
    path = save(
        tmp_path / "a.onnx",
        nodes,
        [("s", TensorProto.INT64, [1])],
        [("z", TensorProto.FLOAT, [])],
    )
    graph = open_graph(path, "a test", "embedders", ["CPUExecutionProvider"])
    assert graph.run({"s": np.array([1000])})[0] == 0.0
    # More than 8 GB, which need not be there to be refused.
    with pytest.raises(Exception, match="arena"):
        graph.run({"s": np.array([3 << 30])})


def elsewhere(path, where):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(where))
    node = helper.make_node("Add", ["x", "w"], ["y"])
    values = [(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    return save(path, [node], values[:1], values[1:], [tensor])


def test_weights_come_from_the_folder_of_the_graph(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    four = np.arange(4, dtype=np.float32)
    for place in (folder / "w.data", tmp_path / "w.data"):
        place.write_bytes(four.tobytes())
    (folder / "link.data").symlink_to(tmp_path / "w.data")
    how = ("a test", "embedders", ["CPUExecutionProvider"])
    for name in ("w.data", "w" * 200):
        (folder / name).write_bytes(four.tobytes())
        graph = open_graph(elsewhere(folder / "a.onnx", name), *how)
        np.testing.assert_array_equal(graph.run({"x": four})[0], 2 * four)
    for name in ("../w.data", tmp_path / "w.data", "link.data"):
        with pytest.raises(InputError, match=r"w\.data|link\.data, which is outside of its folder"):
            open_graph(elsewhere(folder / "a.onnx", name), *how)
    monkeypatch.setattr(onnx_graph, "_LARGEST_FILES", 100)
    with pytest.raises(InputError, match="GB of weights"):
        open_graph(elsewhere(folder / "a.onnx", "w.data"), *how)


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\x0a\x08location", b"\x0a\x08location\x12\xff"]
)
def test_what_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.onnx: is not a runnable ONNX file"):
        open_graph(tmp_path / "a.onnx", "a test", "embedders")
    # The name may also stand before its key, where it would not be seen.
    path = elsewhere(tmp_path / "b.onnx", "../w")
    data = path.read_bytes()
    swapped = data.replace(b"\x0a\x08location\x12\x04../w", b"\x12\x04../w\x0a\x08location")
    assert onnx.load_from_string(swapped).graph.initializer[0].external_data[0].value == "../w"
    assert swapped != data
    path.write_bytes(swapped)
    with pytest.raises(InputError, match=r"b\.onnx: is not a runnable ONNX file"):
        open_graph(path, "a test", "embedders")
