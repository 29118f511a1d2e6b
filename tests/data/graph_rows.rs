//! Rows that are graphs: what is read of their nodes and edges, and what is refused with its place.

use std::path::Path;

use gridlight::data::{self, Dataset, Graphs, Loaded};
use gridlight::experiment::Experiment;
use gridlight::run::trainer;
use gridlight::train::{ErrorKind, TrainError};

const ROWS: &str =
    "g,charge,y,part\nm1,0.5,10,train\nm2,1.5,20,train\nm3,2.5,30,validation\nm4,0,40,test\nm5,1,,test\n";
/// In no order; `m3` has an isolated node, and a kind that no training node has.
const NODES: &str = "g,node,size,kind\nm2,a,3,red\nm1,a,1,red\nm1,b,2,blue\nm3,c,100,green\nm3,a,1,blue\nm3,b,2,red\n\
                     m4,x,1,red\nm5,a,1,red\n";
const EDGES: &str = "g,source,target\nm3,b,a\nm1,a,b\nm1,b,a\n";

const FILES: &str = "id = \"g\"\nnodes = \"nodes.csv\"\nedges = \"edges.csv\"";
const PARTS: &str = "split = { by = \"column\", column = \"part\" }";

fn experiment(graph: &str, data: &str) -> String {
    format!(
        "name = \"g\"\n[data]\nsource = \"rows.csv\"\ntarget = \"y\"\ntransform = {{ numbers = \"min_max\", target = \
         \"none\" }}\n{data}\n[data.graph]\n{graph}\n[model]\nlayer = [{{ type = \"graph_conv\", units = 2 }}, {{ type = \
         \"global_pool\" }}]\n[train]\nloss = \"mse\"\n"
    )
}

fn load_in(directory: &Path, [rows, nodes, edges]: [&str; 3], text: &str) -> Result<Loaded, TrainError> {
    for (name, text) in [("rows.csv", rows), ("nodes.csv", nodes), ("edges.csv", edges)] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    trainer::load_data(&Experiment::parse(text, "g.toml", &[])?, directory)
}

fn load(files: [&str; 3], text: &str) -> Result<Loaded, TrainError> {
    load_in(tempfile::tempdir().unwrap().path(), files, text)
}

fn refused(files: [&str; 3], text: &str) -> String {
    let error = load(files, text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    error.to_string()
}

fn graphs(part: &Dataset) -> &Graphs {
    part.graphs.as_ref().unwrap()
}

#[test]
fn graphs_are_padded_and_their_nodes_fitted_on_those_that_train() {
    let loaded = load([ROWS, NODES, EDGES], &experiment(FILES, PARTS)).unwrap();
    let train = graphs(&loaded.train);
    assert_eq!(train.features, ["size", "kind=blue", "kind=red"]);
    // Sizes go from 1 to 3 in training; there are 3 places.
    assert_eq!(train.x[..9], [0.0, 0.0, 1.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(train.x[9..], [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((&train.counts[..], train.packed.nodes, train.packed.edges), (&[2, 1][..], 3, 5));
    assert_eq!(train.averaged[..5], [0.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(train.normalised[..5], [0.5, 0.5, 0.5, 0.5, 0.0]);
    let validation = graphs(&loaded.validation);
    assert_eq!(validation.counts, [3]);
    // In the order of the file: the isolated node `c` comes first.
    assert_eq!(validation.x[..3], [49.5, 0.0, 0.0]);
    assert_eq!(validation.averaged[..5], [0.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(loaded.validation.unseen[0].example, "green");
    // The other columns of rows are features of the whole graph.
    assert_eq!(
        (&loaded.train.features[..], &loaded.train.x[..]),
        (&["charge".to_string()][..], &[0.0, 1.0][..])
    );
    assert_eq!(loaded.test.row_names, ["m4"]);
    let notes = loaded.understood.notes.join("\n");
    for part in ["4 graphs of 1 to 3 nodes, 7 nodes and 4 links", "3 nodes have no neighbours", "42 % of"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert_eq!(loaded.understood.dropped[0].rows, 1);
}

#[test]
fn nodes_have_the_features_that_are_named_or_count_their_neighbours() {
    let keys = format!("{FILES}\nfeatures = [\"kind\"]");
    let loaded = load([ROWS, NODES, EDGES], &experiment(&keys, PARTS)).unwrap();
    assert_eq!(graphs(&loaded.train).features, ["kind=blue", "kind=red"]);
    let bare: String =
        NODES.lines().map(|l| l.split(',').take(2).collect::<Vec<_>>().join(",") + "\n").collect();
    let files = [ROWS, &bare, &EDGES.replace("m1,b,a\n", "m4,x,x\n")];
    for (nodes, keys) in [(&bare[..], FILES), (NODES, &format!("{FILES}\nfeatures = []"))] {
        let loaded = load([files[0], nodes, files[2]], &experiment(keys, PARTS)).unwrap();
        assert_eq!(graphs(&loaded.train).features, ["neighbours"]);
        assert_eq!(graphs(&loaded.train).x, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        // A loop is no neighbour.
        assert_eq!(graphs(&loaded.test).x, [0.0, 0.0, 0.0]);
        assert!(loaded.understood.notes.join("\n").contains("number of its neighbours"));
    }
    let embedded = experiment(FILES, PARTS).replace("numbers =", "categories = \"embedding\", numbers =");
    let loaded = load([ROWS, NODES, EDGES], &embedded).unwrap();
    let kind = &graphs(&loaded.train).categories[0];
    assert_eq!((&kind.ids[..], kind.vocabulary), (&[2, 1, 0, 2, 0, 0][..], 3));
}

#[test]
fn columns_of_nodes_are_understood_and_can_be_left_out() {
    let loaded = load([ROWS, NODES, EDGES], &experiment(FILES, PARTS)).unwrap();
    let nodes = loaded.understood.nodes.as_ref().unwrap();
    assert_eq!(nodes.rows, 8);
    let shown: Vec<_> = nodes.columns.iter().map(|c| (&c.name[..], &c.role[..], &c.becomes[..])).collect();
    assert_eq!(shown[0], ("g", "graph", "nothing: it is the name of the graph"));
    assert_eq!(shown[1], ("node", "node", "nothing: it is the name of the node"));
    assert_eq!((shown[2].0, shown[2].1), ("size", "feature"));
    assert!(shown[2].2.starts_with("(x - 1) / 2"), "{shown:?}");
    assert_eq!(shown[3], ("kind", "feature", "one feature for each of 2 names"));
    // What looks wrong with them is told too.
    let red = NODES.replace("blue", "red").replace("green", "red");
    let loaded = load([ROWS, &red, EDGES], &experiment(FILES, PARTS)).unwrap();
    let nodes = loaded.understood.nodes.unwrap();
    assert_eq!(nodes.columns[3].doubts[0].mend, "exclude = [\"kind\"]");

    let without = |names: &str| experiment(FILES, &format!("exclude = [{names}]\n{PARTS}"));
    let loaded = load([ROWS, NODES, EDGES], &without("\"size\"")).unwrap();
    assert_eq!(graphs(&loaded.train).features, ["kind=blue", "kind=red"]);
    assert_eq!(loaded.train.features, ["charge"]);
    let nodes = loaded.understood.nodes.unwrap();
    assert_eq!(nodes.columns[2].becomes, "nothing: it is in `exclude`");
    let loaded = load([ROWS, NODES, EDGES], &without("\"size\", \"kind\", \"charge\"")).unwrap();
    assert_eq!(graphs(&loaded.train).features, ["neighbours"]);
    assert!(loaded.train.features.is_empty());
    let error = refused([ROWS, NODES, EDGES], &without("\"sise\""));
    assert!(error.contains("sise"), "{error}");
    let both = format!("{FILES}\nfeatures = [\"size\"]");
    let error = refused([ROWS, NODES, EDGES], &experiment(&both, &format!("exclude = [\"size\"]\n{PARTS}")));
    assert!(error.contains("`data.graph.features` and in `exclude`"), "{error}");
}

#[test]
fn edges_have_weights_and_directions() {
    let keys = format!("{FILES}\nweight = \"w\"\ndirected = true");
    let edges = "g,source,target,w\nm1,a,b,3\nm3,a,b,1\nm3,c,b,3\n";
    let loaded = load([ROWS, NODES, edges], &experiment(&keys, PARTS)).unwrap();
    assert_eq!(graphs(&loaded.train).averaged[..4], [0.0, 1.0, 0.0, 0.0]);
    // Nodes are c, a and b, of which b has a loop and two neighbours.
    assert_eq!(graphs(&loaded.validation).averaged, [0.0, 0.0, 0.75, 0.25, 0.0]);
}

#[test]
fn every_kind_of_split_is_of_graphs() {
    let rows: String = (0..20).map(|g| format!("g{g},{},{g},2024-01-{:02}\n", g % 3, g + 1)).collect();
    let rows = format!("g,charge,y,day\n{rows}");
    let nodes: String = (0..40).map(|g| format!("g{g},a,{g}\ng{g},b,1\n")).collect();
    let files = [&rows[..], &format!("g,node,size\n{nodes}"), "g,source,target\ng3,a,b\n"];
    let splits = [
        "{ by = \"random\", validation = 0.2, test = 0.2 }",
        "{ by = \"random\", validation = 0.2, test = 0.2, group = \"charge\" }",
        "{ by = \"order\", validation = 0.2, test = 0.2 }",
        "{ by = \"time\", column = \"day\", validation = \"2024-01-10\", test = \"2024-01-15\" }",
        "{ by = \"rows\", every = 4 }",
        "{ by = \"folds\", folds = 4 }",
    ];
    let strict = |files: [&str; 3], split: &str| load(files, &experiment(FILES, &format!("split = {split}")));
    // Nodes of graphs that are no rows are refused when they train.
    let error = strict(files, splits[0]).unwrap_err().to_string();
    assert!(error.contains("nodes.csv:42") && error.contains("\"g20\""), "{error}");
    let nodes: String = files[1].lines().take(41).map(|line| format!("{line}\n")).collect();
    let files = [files[0], &nodes, files[2]];
    for split in splits {
        let loaded = strict(files, split).unwrap();
        let parts = [&loaded.train, &loaded.validation, &loaded.test];
        let names: std::collections::BTreeSet<_> = parts.iter().flat_map(|part| &part.row_names).collect();
        assert_eq!(names.len(), 20, "{split}");
        assert!(parts.iter().all(|part| part.rows > 0 && graphs(part).counts.len() == part.rows), "{split}");
    }
    // Parts in files of their own share the tables of nodes and edges.
    let directory = tempfile::tempdir().unwrap();
    let (first, second): (Vec<_>, Vec<_>) = rows.lines().skip(1).enumerate().partition(|(at, _)| *at < 15);
    let text = |rows: Vec<(usize, &str)>| {
        format!("g,charge,y,day\n{}\n", rows.iter().map(|row| row.1).collect::<Vec<_>>().join("\n"))
    };
    let (first, second) = (text(first), text(second));
    std::fs::write(directory.path().join("later.csv"), &second).unwrap();
    let split = "split = { by = \"files\", validation = \"later.csv\" }";
    let loaded = load_in(directory.path(), [&first, files[1], files[2]], &experiment(FILES, split)).unwrap();
    assert_eq!((loaded.train.rows, loaded.validation.rows, loaded.test.rows), (15, 5, 0));
    let sizes = &graphs(&loaded.validation).x;
    assert!(sizes.len() == 10 && sizes[0] > 1.0, "{sizes:?}");
    std::fs::write(directory.path().join("later.csv"), second.replace("g17", "g3")).unwrap();
    let error = load_in(directory.path(), [&first, files[1], files[2]], &experiment(FILES, split));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("later.csv:4") && error.contains("\"g3\" of another part"), "{error}");
}

#[test]
fn rows_nodes_and_edges_that_do_not_go_together_are_refused_where_they_stand() {
    let of = |rows: &str, nodes: &str, edges: &str| refused([rows, nodes, edges], &experiment(FILES, PARTS));
    let with = |text: &str, line: &str| format!("{text}{line}\n");
    let cases = [
        (of(ROWS, &with(NODES, "m9,a,1,red"), EDGES), &["nodes.csv:10", "`g`", "\"m9\"", "rows.csv"][..]),
        (of(ROWS, &with(NODES, ",a,1,red"), EDGES), &["nodes.csv:10", "names a graph"]),
        (of(ROWS, &with(NODES, "m1,,1,red"), EDGES), &["nodes.csv:10", "`node`", "empty"]),
        (of(ROWS, &with(NODES, "m1,a,1,red"), EDGES), &["nodes.csv:10", "\"a\" of graph \"m1\" in line 3"]),
        (of(ROWS, NODES, &with(EDGES, "m9,a,a")), &["edges.csv:5", "`g`", "\"m9\""]),
        (of(ROWS, NODES, &with(EDGES, ",a,a")), &["edges.csv:5", "`g`", "empty"]),
        (of(ROWS, NODES, &with(EDGES, "m1,a,c")), &["edges.csv:5", "`target`", "\"c\"", "\"m1\""]),
        (of(ROWS, NODES, &with(EDGES, "m1,,a")), &["edges.csv:5", "`source`", "empty"]),
        (of(&with(ROWS, "m6,1,2,train"), NODES, EDGES), &["rows.csv:7", "no node in", "nodes.csv"]),
        (of(&with(ROWS, "m1,1,2,train"), NODES, EDGES), &["rows.csv:7", "graph \"m1\" of line 2 again"]),
        (of(&with(ROWS, ",1,2,train"), NODES, EDGES), &["rows.csv:7", "every graph a name"]),
        (of(ROWS, &NODES.replace("node,", "atom,"), EDGES), &["nodes.csv:1", "no column `node`"]),
        (of(ROWS, NODES, &EDGES.replace("g,", "h,")), &["edges.csv:1", "no column `g`"]),
        (of(ROWS, &NODES.replace("m1,a,1,", "m1,a,tall,"), EDGES), &["nodes.csv"]),
        (of(ROWS, NODES, ""), &["edges.csv", "empty"]),
    ];
    for (error, parts) in cases {
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    // A graph without a target needs no nodes: it is not read.
    load([&with(ROWS, "m6,1,,train"), NODES, EDGES], &experiment(FILES, PARTS)).unwrap();
}

#[test]
fn graphs_may_all_be_without_edges() {
    let loaded = load([ROWS, NODES, "g,source,target\n"], &experiment(FILES, PARTS)).unwrap();
    assert!(graphs(&loaded.train).averaged.iter().all(|weight| *weight == 0.0));
    let notes = &loaded.understood.notes;
    assert!(notes.iter().any(|note| note.contains("no graph has an edge")), "{notes:?}");
}

#[test]
fn graphs_that_padding_makes_too_large_are_refused_before_it() {
    let rows: String = (0..3000).map(|g| format!("g{g},{}\n", g % 7)).collect();
    let nodes: String = (0..3000).map(|g| format!("g{g},a,{g}\n")).collect();
    let large: String = (0..250_000).map(|node| format!("g1,{node},1\n")).collect();
    let files =
        [format!("g,y\n{rows}"), format!("g,node,size\n{nodes}{large}"), "g,source,target\ng1,1,2\n".into()];
    let error = refused([&files[0], &files[1], &files[2]], &experiment(FILES, ""));
    for part in ["rows.csv:3", "largest of 3000 graphs", "250001 nodes", "GB; leave out"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // With a smaller one, what is wasted is said.
    let some: String = large.lines().take(50).map(|line| format!("{line}\n")).collect();
    let nodes = format!("g,node,size\n{nodes}{some}");
    let loaded = load([&files[0], &nodes, &files[2]], &experiment(FILES, "")).unwrap();
    let notes = loaded.understood.notes.join("\n");
    assert!(notes.contains("half of the graphs have at most 1 nodes, and the largest has 51"), "{notes}");
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let base = experiment(FILES, PARTS);
    let layers = |layers: &str| format!("model.layer=[{layers}]");
    let conv = "{type=\"graph_conv\",units=2}";
    let pool = "{type=\"global_pool\"}";
    let cases = [
        ("data.graph.identity=true".into(), "tells the nodes of one graph apart"),
        ("data.graph.nearest=3".into(), "exactly one of"),
        ("data.graph.node=\"g\"".into(), "as `id` is"),
        ("data.graph.edges=\"nodes.csv\"".into(), "need names that differ"),
        ("data.source=\"other/edges.csv\"".into(), "need names that differ"),
        ("data.graph.features=[\"g\"]".into(), "names `g`"),
        ("data.graph.features=[\"size\",\"size\"]".into(), "twice"),
        ("data.graph.features=[\"siz\"]".into(), "did you mean `size`"),
        ("data.window={length=3}".into(), "[data.window]"),
        ("data.clean.numbers=\"drop\"".into(), "a node cannot be dropped"),
        ("data.clean.columns={size=\"forward_fill\"}".into(), "nodes have no order"),
        ("data.clean.columns={sise=\"mean\"}".into(), "no column `sise`"),
        ("data.types={size=\"category\",sise=\"number\"}".into(), "no column `sise`"),
        ("data.augment.noise=0.1".into(), "use a `dropout` layer"),
        ("train.adversarial={radius=0.1}".into(), "what graphs hold are their nodes"),
        ("model.family=\"cnn\"".into(), "nodes of graphs"),
        (layers(conv), "has no `global_pool` layer"),
        (layers(&format!("{conv},{{type=\"global_pool\",kind=\"last\"}}")), "nodes have no order"),
        (layers(&format!("{pool},{conv}")), "after `global_pool`"),
        (layers(&format!("{pool},{pool}")), "after `global_pool`"),
        (layers(&format!("{{type=\"attention\",heads=1}},{pool}")), "before `global_pool`"),
    ];
    for (key, wanted) in cases {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("rows.csv", ROWS), ("nodes.csv", NODES), ("edges.csv", EDGES)] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let parsed = Experiment::parse(&base, "g.toml", std::slice::from_ref(&key)).map_err(TrainError::from);
        let error = parsed.and_then(|parsed| trainer::load_data(&parsed, directory.path()));
        let error = error.map(|_| ()).expect_err(&key).to_string();
        assert!(error.contains(wanted), "{key}: {error}");
    }
    for (keys, wanted) in [
        ("id = \"g\"\nedges = \"edges.csv\"\nnode = \"n\"", "is a column of `nodes`"),
        ("id = \"g\"\nedges = \"edges.csv\"\nfeatures = []", "are columns of `nodes`"),
        ("id = \"g\"\nnodes = \"nodes.csv\"\nradius = 2", "needs `edges`"),
        ("nodes = \"nodes.csv\"\nedges = \"edges.csv\"", "the name of each graph"),
    ] {
        // Layers that go with either kind of rows.
        let text = experiment(keys, PARTS).replace(", { type = \"global_pool\" }", "");
        let text = if keys.contains("nodes =") { experiment(keys, PARTS) } else { text };
        let error = Experiment::parse(&text, "g.toml", &[]).unwrap_err().to_string();
        assert!(error.contains(wanted), "{keys}: {error}");
    }
}

#[test]
fn new_graphs_have_their_nodes_beside_them_and_may_be_larger() {
    let loaded = load([ROWS, NODES, EDGES], &experiment(FILES, PARTS)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let rows = directory.path().join("new.csv");
    let read = || data::load_with(&loaded.fitted, &rows, false);
    std::fs::write(&rows, "g,charge\nz,1\nm1,0\n").unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("new.csv") && error.contains("called nodes.csv and edges.csv beside"), "{error}");
    let nodes: String = (0..7).map(|at| format!("z,{at},3,red\n")).collect();
    // Graphs that are not asked for may be there too.
    let nodes = format!("g,node,size,kind\nother,1,1,red\n{nodes}m1,1,1,blue\n");
    std::fs::write(directory.path().join("nodes.csv"), &nodes).unwrap();
    std::fs::write(directory.path().join("edges.csv"), "g,source,target\nother,1,1\nz,1,2\n").unwrap();
    let found = read().unwrap();
    assert_eq!((graphs(&found).packed.nodes, &graphs(&found).counts[..]), (7, &[7, 1][..]));
    assert_eq!(found.row_names, ["z", "m1"]);
    assert_eq!(graphs(&found).x[21..27], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    // Single nodes have no edges.
    std::fs::write(directory.path().join("edges.csv"), "g,source,target\n").unwrap();
    assert_eq!(graphs(&read().unwrap()).packed.edges, 7);
    std::fs::write(directory.path().join("edges.csv"), "g,source,target\nz,1,9\n").unwrap();
    assert!(read().unwrap_err().to_string().contains("edges.csv:2"));
    std::fs::write(directory.path().join("edges.csv"), "g,source,target\n").unwrap();
    std::fs::write(&rows, "g,charge\nz,1\nunknown,0\n").unwrap();
    assert!(read().unwrap_err().to_string().contains("new.csv:3: column `g`: has no node in"));
}
