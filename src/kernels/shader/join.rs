//! Several shaders as one: the first workgroups run the first, the next ones the second, and so on.
//!
//! Every module-level name of a member gets the member's number as a suffix, its bindings are numbered on after
//! those of the members before, and its entry point becomes a function that is called with the workgroup's number
//! among its own.

use super::Shader;
use crate::shader::{TemplateError, Text};

/// One shader for `members`, which have as many lanes each and workgroups in x only.
///
/// # Errors
/// If an import is missing, which is a bug.
pub(super) fn join(members: Vec<Shader>) -> Result<Shader, TemplateError> {
    let lanes = members.iter().map(|m| m.lanes).max().unwrap_or(1);
    let mut text = Text::default();
    let (mut first, mut writes, mut reads) = (0, 0, 0);
    let mut calls = String::new();
    for (number, member) in members.iter().enumerate() {
        for import in &member.text.imports {
            if !text.imports.contains(import) {
                text.imports.push(import.clone());
            }
        }
        let own = Member::of(&member.text.own, number, writes, reads);
        writes += own.writes;
        reads += own.reads;
        text.own += &own.text;
        let end = first + member.workgroups[0];
        let arguments: Vec<String> = own
            .builtins
            .iter()
            .map(|builtin| match builtin.as_str() {
                "workgroup_id" => format!("vec3<u32>(at - {first}u, 0u, 0u)"),
                other => other.to_string(),
            })
            .collect();
        let otherwise = if number == 0 { "" } else { " else " };
        calls += &format!(
            "{otherwise}if (at < {end}u) {{\n        main_kernel{number}({});\n    }}",
            arguments.join(", ")
        );
        first = end;
    }
    let exchange = members.iter().any(|m| m.text.own.contains("@builtin(subgroup_invocation_id)"));
    let subgroup = match exchange {
        true => "    @builtin(subgroup_invocation_id) subgroup_invocation_id: u32,\n",
        false => "",
    };
    text.own += &format!(
        "@compute @workgroup_size({lanes})\nfn main(\n    @builtin(workgroup_id) workgroup_id: vec3<u32>,\n    \
         @builtin(local_invocation_index) local_invocation_index: u32,\n{subgroup}) {{\n    \
         let at = workgroup_id.x;\n    {calls}\n}}\n"
    );
    let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
    Ok(Shader {
        name: names.join("+"),
        source: text.source()?,
        text,
        workgroups: [first, 1, 1],
        lanes,
        workgroup_bytes: members.iter().map(|m| m.workgroup_bytes).sum(),
        normal_tables: (0..members.len()).filter(|&m| !members[m].normal_tables.is_empty()).collect(),
    })
}

/// A member's text with names, bindings and entry point of its own.
struct Member {
    text: String,
    /// What the entry point asks for, in order.
    builtins: Vec<String>,
    writes: usize,
    reads: usize,
}

impl Member {
    fn of(own: &str, number: usize, writes: usize, reads: usize) -> Self {
        let names = declared(own);
        let mut member = Self { text: String::new(), builtins: vec![], writes: 0, reads: 0 };
        let mut in_header = false;
        for line in own.lines() {
            if line.starts_with("@compute") {
                in_header = true;
                continue;
            }
            let mut line = line.to_string();
            if in_header {
                while let Some((before, rest)) = line.split_once("@builtin(") {
                    let Some((builtin, after)) = rest.split_once(')') else { break };
                    member.builtins.push(builtin.to_string());
                    line = format!("{before}{}", after.trim_start());
                }
                in_header = !line.contains('{');
            }
            for (group, offset, count) in [(0, writes, &mut member.writes), (1, reads, &mut member.reads)] {
                if let Some(rest) = line.strip_prefix(&format!("@group({group}) @binding(")) {
                    let after = rest.split_once(')').map_or("", |(_, after)| after);
                    line = format!("@group({group}) @binding({}){after}", offset + *count);
                    *count += 1;
                    break;
                }
            }
            member.text += &renamed(&line, &names, number);
            member.text.push('\n');
        }
        member
    }
}

/// Module-level names.
fn declared(own: &str) -> Vec<String> {
    let name = |rest: &str| -> String { rest.chars().take_while(|c| is_name(*c)).collect() };
    let found = own.lines().filter_map(|line| {
        let line = line.split_once("var<").map_or(line, |(before, after)| match before.trim_start() {
            // A variable of a function has no address space.
            before if before.is_empty() || before.starts_with('@') => after,
            _ => line,
        });
        for keyword in ["fn ", "const ", "alias ", "struct "] {
            if let Some(rest) = line.strip_prefix(keyword) {
                return Some(name(rest));
            }
        }
        let (space, rest) = line.split_once("> ")?;
        ["workgroup", "storage, read", "storage, read_write"].contains(&space).then(|| name(rest))
    });
    found.collect()
}

/// `line` with the suffix `_kernel<number>` at each of `names`.
fn renamed(line: &str, names: &[String], number: usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_name) {
        let length = rest[start..].find(|c| !is_name(c)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        // What follows a point is a component or a field, never a name of the module.
        let member = rest[..start].ends_with('.') && !rest[..start].ends_with("..");
        out += &rest[..start];
        out += word;
        if !member && names.iter().any(|name| name == word) {
            out += &format!("_kernel{number}");
        }
        rest = &rest[start + length..];
    }
    out + rest
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
