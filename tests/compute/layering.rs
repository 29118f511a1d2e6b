//! The order of the modules: what a file may name. Paths are read from Rust's tokens, so that neither
//! formatting nor comments fool the test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

/// The modules of the library from the bottom up: each may use those before it.
const LAYERS: [&str; 25] = [
    "base",
    "search",
    "scalar",
    "oracle",
    "optim",
    "shader",
    "native",
    "mpi",
    "kernels",
    "graph",
    "plan",
    "device",
    "nn",
    "data",
    "train",
    "explain",
    "uncertainty",
    "report",
    "tasks",
    "onnx",
    "python",
    "experiment",
    "run",
    "verify",
    "bench",
];

/// Modules in which some files still need each other. A module leaves the list with its last circle.
const ENTANGLED: [&str; 0] = [];

/// A module by its path from the crate's root: `["plan", "fuse"]`.
type Module = Vec<String>;

/// The source files under `src/`, without the program's own (`main.rs`, `cli/`).
fn library() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(&root).unwrap();
            if relative == Path::new("cli") || relative == Path::new("main.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let parts = relative.with_extension("");
                let mut module: Module =
                    parts.iter().map(|part| part.to_str().unwrap().to_string()).collect();
                if ["mod", "lib"].contains(&module[module.len() - 1].as_str()) {
                    module.pop();
                }
                files.insert(module, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// The paths that begin with `crate`, `super` or `self` in a file, each in full from the crate's root.
fn paths(module: &Module, source: &str) -> Vec<Module> {
    let tokens: TokenStream = source.parse().unwrap_or_else(|e| panic!("{module:?}: {e}"));
    let mut found = vec![];
    scan(tokens, module, &mut found);
    found
}

fn scan(tokens: TokenStream, module: &Module, found: &mut Vec<Module>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(name) if name == "mod" => {
                // What stands in a module within the file is told from there.
                if let (Some(TokenTree::Ident(inner)), Some(TokenTree::Group(body))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    let inner = [module.clone(), vec![inner.to_string()]].concat();
                    scan(body.stream(), &inner, found);
                }
                at += 3;
            }
            TokenTree::Ident(name) if is_separator(&tokens, at + 1) => {
                let start = match name.to_string().as_str() {
                    "crate" => Some(vec![]),
                    "self" => Some(module.clone()),
                    "super" => Some(parent(module)),
                    _ => None,
                };
                match start {
                    Some(start) => at = path(&tokens, at + 3, start, found),
                    // The rest of a path that begins elsewhere.
                    None => at += 3,
                }
            }
            TokenTree::Group(group) => {
                scan(group.stream(), module, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads on from `at` a path that has come to `so_far`; gives where it ends.
fn path(tokens: &[TokenTree], at: usize, so_far: Module, found: &mut Vec<Module>) -> usize {
    match tokens.get(at) {
        Some(TokenTree::Ident(name)) => {
            let mut next = so_far;
            match name.to_string().as_str() {
                "super" => next = parent(&next),
                "self" => {}
                other => next.push(other.to_string()),
            }
            if is_separator(tokens, at + 1) {
                return path(tokens, at + 3, next, found);
            }
            found.push(next);
            at + 1
        }
        // `use crate::{a, b::c};`
        Some(TokenTree::Group(group)) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for part in inner.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
                path(part, 0, so_far.clone(), found);
            }
            at + 1
        }
        // A glob, or a path that ends here.
        _ => {
            found.push(so_far);
            at + 1
        }
    }
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at + 1)
}

fn parent(module: &Module) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Which file uses which: items are taken for the file that declares their module.
fn edges(files: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let file_of = |path: &Module| {
        let mut module = path.clone();
        while !files.contains_key(&module) && !module.is_empty() {
            module.pop();
        }
        module
    };
    let uses = |(module, source): (&Module, &String)| {
        let used = paths(module, source).iter().map(file_of).filter(|used| used != module).collect();
        (module.clone(), used)
    };
    files.iter().map(uses).collect()
}

/// What breaks the order: an edge that runs up, a folder without a place, files that need each other.
fn violations(files: &BTreeMap<Module, String>) -> Vec<String> {
    let layer =
        |module: &Module| LAYERS.iter().position(|name| Some(*name) == module.first().map(String::as_str));
    let edges = edges(files);
    let mut found = vec![];
    for (module, used) in &edges {
        if module.is_empty() {
            continue;
        }
        let Some(from) = layer(module) else {
            found.push(format!("{} has no place in LAYERS", module.join("::")));
            continue;
        };
        for other in used {
            match layer(other) {
                Some(to) if to <= from => {}
                _ => {
                    found.push(format!("{} uses {}, which is above it", module.join("::"), other.join("::")))
                }
            }
        }
    }
    let circles = circles(&edges);
    for circle in &circles {
        if circle.iter().all(|module| ENTANGLED.contains(&module[0].as_str())) {
            continue;
        }
        let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
        found.push(format!("these files need each other: {}", names.join(", ")));
    }
    for module in ENTANGLED {
        if !circles.iter().flatten().any(|file| file[0] == module) {
            found.push(format!("{module} has no circle any more; take it from ENTANGLED"));
        }
    }
    found
}

/// Groups of files each of which needs all others, but for a module and what is declared within it.
fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let kin = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
    let reachable: BTreeMap<&Module, BTreeSet<&Module>> = edges
        .keys()
        .map(|from| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(module) = open.pop() {
                let next = edges.get(module).into_iter().flatten().filter(|next| !kin(module, next));
                open.extend(next.filter(|next| seen.insert(*next)));
            }
            (from, seen)
        })
        .collect();
    let mut found: BTreeSet<Vec<Module>> = BTreeSet::new();
    for (from, seen) in &reachable {
        let mut circle: Vec<Module> =
            seen.iter().filter(|other| reachable[**other].contains(from)).map(|m| (*m).clone()).collect();
        circle.sort();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_module_uses_what_is_above_it_and_no_files_need_each_other() {
    let found = violations(&library());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_edge_or_circle_is_found() {
    let with = |module: &str, source: &str| {
        let mut files = library();
        let module: Module = module.split("::").map(str::to_string).collect();
        *files.entry(module).or_default() += source;
        violations(&files)
    };
    let upward = [
        "use crate::plan;",
        "use crate::{base::rng, plan::Program};",
        "fn f() { crate :: /* a comment */ plan\n::quantity(1) }",
        "fn f() { println!(\"{}\", crate::plan::quantity(1)) }",
        "use super::super::plan::{self};",
    ];
    for source in upward {
        let found = with("kernels::planted", source);
        assert_eq!(found, ["kernels::planted uses plan, which is above it"], "{source}");
    }
    assert_eq!(with("base::planted", "// use crate::plan;\nconst A: &str = \"crate::plan\";"), [""; 0]);
    assert_eq!(with("lost", ""), ["lost has no place in LAYERS"]);
    let mut files = library();
    files.insert(vec!["base".into(), "one".into()], "use super::two::A;".into());
    files.insert(vec!["base".into(), "two".into()], "use crate::base::one::B;".into());
    assert_eq!(violations(&files), ["these files need each other: base::one, base::two"]);
}
