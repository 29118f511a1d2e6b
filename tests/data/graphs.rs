//! Nodes and edges of graphs: what is read of them, and what is refused with its place.

use std::path::Path;

use gridlight::base::nodes::Nodes;
use gridlight::data::{self, Dataset, Fitted, Loaded, Target};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError};

const NODES: &str = "node,size,kind,y,part\na,1,red,10,train\nb,2,blue,20,train\nc,3,red,30,validation\n\
                     d,4,blue,,test\ne,5,blue,50,test\n";

fn experiment(graph: &str, rest: &str) -> String {
    format!(
        "name = \"g\"\n[data]\nsource = \"nodes.csv\"\ntarget = \"y\"\ntransform = {{ numbers = \"none\", target = \
         \"none\" }}\nsplit = {{ by = \"column\", column = \"part\" }}\n[data.graph]\n{graph}\n{rest}\n[train]\nloss = \
         \"mse\"\n"
    )
}

fn load_in(directory: &Path, nodes: &str, edges: &str, text: &str) -> Result<Loaded, TrainError> {
    std::fs::write(directory.join("nodes.csv"), nodes).unwrap();
    std::fs::write(directory.join("edges.csv"), edges).unwrap();
    trainer::load_data(&Experiment::parse(text, "g.toml", &[])?, directory)
}

fn load(nodes: &str, edges: &str, text: &str) -> Result<Loaded, TrainError> {
    load_in(tempfile::tempdir().unwrap().path(), nodes, edges, text)
}

fn refused(nodes: &str, edges: &str, text: &str) -> String {
    let error = load(nodes, edges, text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    error.to_string()
}

fn nodes(loaded: &Loaded) -> &Nodes {
    &loaded.fitted.graph.as_ref().unwrap().nodes
}

fn pairs(nodes: &Nodes) -> Vec<(u32, u32, f32)> {
    nodes.edges().collect()
}

const FILE: &str = "id = \"node\"\nedges = \"edges.csv\"";

#[test]
fn all_nodes_are_in_the_graph_and_those_with_a_target_in_a_part() {
    let loaded = load(NODES, "source,target\na,b\nc,b\n", &experiment(FILE, "")).unwrap();
    let graph = nodes(&loaded);
    assert_eq!(graph.names, ["a", "b", "c", "d", "e"]);
    assert_eq!(graph.features, ["size", "kind=blue", "kind=red"]);
    assert_eq!(graph.x[..6], [1.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
    assert_eq!(pairs(graph), [(1, 0, 1.0), (0, 1, 1.0), (2, 1, 1.0), (1, 2, 1.0)]);
    assert!(graph.weights.is_empty());
    assert_eq!(graph.isolated(), 2);
    let ids = |part: &Dataset| (part.categories[0].ids.clone(), part.categories[0].vocabulary, part.x.len());
    assert_eq!(ids(&loaded.train), (vec![0, 1], 5, 0));
    assert_eq!(ids(&loaded.validation), (vec![2], 5, 0));
    assert_eq!(ids(&loaded.test), (vec![4], 5, 0));
    assert_eq!(loaded.test.target, Some(Target::Numbers(vec![50.0])));
    let notes = loaded.understood.notes.join("\n");
    for part in ["5 nodes and 2 edges", "2 nodes have no neighbours", "1 nodes without a target"] {
        assert!(notes.contains(part), "{notes}");
    }
}

#[test]
fn edges_have_directions_weights_and_loops() {
    let keys = format!("{FILE}\nsource = \"from\"\ntarget = \"to\"\nweight = \"w\"\ndirected = true");
    let loaded = load(NODES, "from,to,w\na,b,0.5\nb,a,2\ne,e,0\na,b,0.5\n", &experiment(&keys, "")).unwrap();
    assert_eq!(pairs(nodes(&loaded)), [(1, 0, 2.0), (0, 1, 0.5), (4, 4, 0.0)]);
    let notes = loaded.understood.notes.join("\n");
    for part in ["1 edges of", "are given again", "3 directed edges, 1 of them from a node to itself"] {
        assert!(notes.contains(part), "{notes}");
    }
    // Both ways, and given both ways.
    let loaded = load(NODES, "source,target\na,b\nb,a\ne,e\n", &experiment(FILE, "")).unwrap();
    assert_eq!(pairs(nodes(&loaded)), [(1, 0, 1.0), (0, 1, 1.0), (4, 4, 1.0)]);
}

#[test]
fn edges_come_from_coordinates() {
    let keys = "id = \"node\"\ncoordinates = [\"size\"]";
    let near = load(NODES, "", &experiment(&format!("{keys}\nnearest = 1"), "")).unwrap();
    let both: Vec<(u32, u32, f32)> =
        [(1, 0), (0, 1), (2, 1), (1, 2), (3, 2), (2, 3), (4, 3), (3, 4)].map(|(a, b)| (a, b, 1.0)).to_vec();
    assert_eq!(pairs(nodes(&near)), both);
    let within = load(NODES, "", &experiment(&format!("{keys}\nradius = 1.5"), "")).unwrap();
    assert_eq!(pairs(nodes(&within)), both);
    let text = refused(NODES, "", &experiment(&format!("{keys}\nnearest = 5"), ""));
    assert!(text.contains("at most 4 are possible"), "{text}");
    let text = refused(&NODES.replace("c,3", "c,"), "", &experiment(&format!("{keys}\nnearest = 1"), ""));
    assert!(text.contains("nodes.csv:4: column `size`: is empty"), "{text}");
}

#[test]
fn what_is_wrong_with_nodes_and_edges_is_told_with_its_line() {
    let file = experiment(FILE, "");
    let weighted = experiment(&format!("{FILE}\nweight = \"w\""), "");
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (NODES, "source,target\na,b\na,x\n", &file, &["edges.csv:3: column `target`", "\"x\"", "5 nodes"]),
        (NODES, "source,target\n,b\n", &file, &["edges.csv:2: column `source`: is empty"]),
        (NODES, "from,to\na,b\n", &file, &["edges.csv", "no column `source`"]),
        (NODES, "source,target,w\na,b,-1\n", &weighted, &["edges.csv:2: column `w`: holds -1"]),
        (NODES, "source,target,w\na,b,1\nc,d,NaN\n", &weighted, &["edges.csv:3: column `w`: is empty"]),
        (
            NODES,
            "source,target,w\na,b,1\nc,d,much\ne,d,2\n",
            &weighted,
            &["edges.csv:3", "`w` holds \"much\""],
        ),
        (NODES, "source,target,w\na,b,1\nb,a,2\n", &weighted, &["edges.csv:3", "line 2 again", "weight 2"]),
        (
            &NODES.replace("e,5", "a,5"),
            "source,target\na,b\n",
            &file,
            &["nodes.csv:6", "\"a\" of line 2 again"],
        ),
        (
            &NODES.replace("e,5", ",5"),
            "source,target\na,b\n",
            &file,
            &["nodes.csv:6: column `node`: is empty"],
        ),
    ];
    for (nodes, edges, text, parts) in cases {
        let found = refused(nodes, edges, text);
        for part in *parts {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
    let text = refused(NODES, "source,target\na,b\n", &experiment(FILE, "[data.clean]\nnumbers = \"drop\""));
    assert!(text.contains("cannot be dropped without its edges"), "{text}");
    let few = "node,y,part\na,1,train\nb,2,train\nc,3,validation\n";
    let text = refused(few, "source,target\na,b\n", &file);
    assert!(text.contains("`data.graph.identity` = true"), "{text}");
    let loaded =
        load(few, "source,target\na,b\n", &experiment(&format!("{FILE}\nidentity = true"), "")).unwrap();
    assert!(nodes(&loaded).identity && nodes(&loaded).features.is_empty());
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let wrong = |graph: &str, rest: &str| {
        Experiment::parse(&experiment(graph, rest), "g.toml", &[]).unwrap_err().to_string()
    };
    let window = "[data.window]\nlength = 3";
    for (graph, rest, part) in [
        ("id = \"node\"", "", "exactly one of"),
        (
            "id = \"node\"\nnearest = 2\nradius = 1.0\ncoordinates = [\"size\"]",
            "",
            "found nearest and radius",
        ),
        ("id = \"node\"\nnearest = 2", "", "data.graph.coordinates"),
        ("id = \"node\"\nnearest = 0\ncoordinates = [\"size\"]", "", "at least 1"),
        ("id = \"node\"\nradius = -1.0\ncoordinates = [\"size\"]", "", "finite number above 0"),
        ("id = \"node\"\ncorrelation = 2", "", "needs [data.window]"),
        ("edges = \"edges.csv\"", "", "missing `id`"),
        ("id = \"node\"\ncorrelation = 2", window, "the targets are the nodes"),
        ("nearest = 2\ncoordinates = [\"size\"]", window, "nodes that are rows"),
        ("id = \"node\"\nedges = \"e\"\ncoordinates = [\"size\"]", "", "remove it"),
        ("id = \"node\"\nnearest = 1\ncoordinates = [\"size\"]\nweight = \"w\"", "", "a column of `edges`"),
        (FILE, "[data.augment]\nnoise = 0.1", "data.augment.noise"),
        (FILE, "[model]\nfamily = \"rnn\"", "model.family"),
        (
            FILE,
            "[model]\nlayer = [{ type = \"conv1d\", channels = 3, kernel = 3 }]",
            "take nodes for the steps",
        ),
    ] {
        let text = wrong(graph, rest);
        assert!(text.contains(part), "{graph} {rest}: {text}");
    }
    let text = experiment(FILE, "[model]\nlayer = [{ type = \"graph_conv\", units = 3 }]")
        .replace("[data.graph]\nid = \"node\"\nedges = \"edges.csv\"", "");
    let text = Experiment::parse(&text, "g.toml", &[]).unwrap_err().to_string();
    assert!(text.contains("say in [data.graph] where edges are"), "{text}");
}

/// Rows of another file, for a model trained on [`NODES`].
fn rows(fitted: &Fitted, text: &str) -> Result<Dataset, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.csv");
    std::fs::write(&path, text).unwrap();
    data::load_with(fitted, &path, false).map_err(|e| e.to_string())
}

#[test]
fn predicted_rows_name_nodes_and_have_no_other_features() {
    let fitted = load(NODES, "source,target\na,b\n", &experiment(FILE, "")).unwrap().fitted;
    let ids = |text: &str| rows(&fitted, text).map(|found| found.categories[0].ids.clone());
    assert_eq!(ids("node\nd\na\nd\n").unwrap(), [3, 0, 3]);
    assert_eq!(ids("kind,node,size\nblue,d,4\nred,a,1\n").unwrap(), [3, 0]);
    assert_eq!(rows(&fitted, "node\nd\n").unwrap().row_names, ["d"]);
    for (text, parts) in [
        ("node\na\nz\n", ["rows.csv:3: column `node`", "\"z\""]),
        ("node,size\na,1\nd,4.5\n", ["rows.csv:3: column `size`", "node \"d\""]),
        ("node,kind\na,blue\n", ["rows.csv:2: column `kind`", "node \"a\""]),
        ("size\n1\n", ["rows.csv:1", "no column `node`"]),
    ] {
        let found = ids(text).unwrap_err();
        for part in parts {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}

#[test]
fn the_data_are_others_if_the_edges_are() {
    let digest = |edges: &str| load(NODES, edges, &experiment(FILE, "")).unwrap().digest;
    assert_eq!(digest("source,target\na,b\n"), digest("source,target\na,b\n"));
    assert_ne!(digest("source,target\na,b\n"), digest("source,target\na,c\n"));
}

/// Three series of 40 steps: `b` follows `a`, `c` does not.
fn series() -> String {
    let mut text = "step,name,v\n".to_string();
    for step in 0..40 {
        let a = f64::from(step * 7 % 11);
        for (name, value) in [("a", a), ("b", 3.0 - 2.0 * a), ("c", f64::from(step * 5 % 13))] {
            text += &format!("{step},{name},{value}\n");
        }
    }
    text
}

#[test]
fn targets_of_windows_are_nodes() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("series.csv"), series()).unwrap();
    std::fs::write(directory.path().join("edges.csv"), "source,target,w\na,c,2\n").unwrap();
    let load = |graph: &str| {
        let text = format!(
            "name = \"s\"\n[data]\nsource = \"series.csv\"\ntarget = \"v a\"\nfeatures = []\nreshape = {{ by = \
             \"pivot\", row = \"step\", names = \"name\", values = [\"v\"] }}\nwindow = {{ length = 3, targets = [\"v \
             b\", \"v c\"] }}\nsplit = {{ by = \"order\" }}\n[data.graph]\n{graph}\n"
        );
        trainer::load_data(&Experiment::parse(&text, "s.toml", &[])?, directory.path())
    };
    let loaded = load("correlation = 1\ndirected = true").unwrap();
    assert_eq!(nodes(&loaded).names, ["a", "b", "c"]);
    let found = pairs(nodes(&loaded));
    assert_eq!(found[..2], [(1, 0, 1.0), (0, 1, 1.0)]);
    assert_eq!((found.len(), found[2].1), (3, 2));
    let loaded = load("edges = \"edges.csv\"\nweight = \"w\"").unwrap();
    assert_eq!(pairs(nodes(&loaded)), [(2, 0, 2.0), (0, 2, 2.0)]);
    let text = load("correlation = 3").unwrap_err().to_string();
    assert!(text.contains("at most 2 are possible"), "{text}");
    std::fs::write(directory.path().join("edges.csv"), "source,target\na,d\n").unwrap();
    let text = load("edges = \"edges.csv\"").unwrap_err().to_string();
    assert!(text.contains("edges.csv:2") && text.contains("\"d\""), "{text}");
    // Of several files, the one that is wrong is named.
    std::fs::write(directory.path().join("edges.csv"), "source,target\na,c\n").unwrap();
    std::fs::write(directory.path().join("edges2.csv"), "source,target\na,b\na,d\n").unwrap();
    let text = load("edges = \"edges*.csv\"").unwrap_err().to_string();
    assert!(text.contains("edges2.csv:3") && text.contains("\"d\""), "{text}");
}
