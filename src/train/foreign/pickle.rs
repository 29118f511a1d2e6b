//! The part of Python's pickle format that files of tensors have. Nothing is called: the few functions that rebuild
//! tensors are known by name, and every other one is refused by name.

/// Most objects of a file.
const MOST: usize = 4_000_000;

/// An object: the number under which it is kept.
pub type Id = usize;

/// What an object is.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `None`, and what nothing here looks at.
    None,
    /// A whole number, or a truth value.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A tuple or list.
    List(Vec<Id>),
    /// Keys and values.
    Dict(Vec<(Id, Id)>),
    /// A known function or class: `module.name`.
    Global(&'static str),
    /// Elements in a file of their own.
    Storage {
        /// The type of its elements.
        kind: &'static str,
        /// The name of its file.
        key: String,
        /// Its number of elements.
        count: usize,
    },
    /// A view of a storage.
    Tensor {
        /// The storage.
        storage: Id,
        /// Elements before its first.
        offset: usize,
        /// Extents.
        shape: Vec<usize>,
        /// Elements between neighbours on each axis.
        strides: Vec<usize>,
    },
}

/// Names that may stand in a file; all others are refused.
const KNOWN: &[&str] = &[
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
    "torch.Size",
];

/// The objects of a pickle, and which of them it is.
#[derive(Debug)]
pub struct Pickle {
    objects: Vec<Object>,
    /// The outermost object.
    pub root: Id,
}

impl Pickle {
    /// An object.
    pub fn get(&self, id: Id) -> &Object {
        self.objects.get(id).unwrap_or(&Object::None)
    }
}

/// A machine that reads one.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: std::collections::HashMap<usize, Id>,
}

/// Reads a pickle.
///
/// # Errors
/// If it is damaged, or holds anything else than tensors by name.
pub fn read(bytes: &[u8]) -> Result<Pickle, String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        objects: vec![],
        stack: vec![],
        marks: vec![],
        memo: std::collections::HashMap::new(),
    };
    let root = machine.run()?;
    Ok(Pickle { objects: machine.objects, root })
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            let code = self.take(1)?[0];
            match code {
                b'.' => return self.pop(),
                0x80 => match self.take(1)?[0] {
                    2..=5 => {}
                    version => return Err(format!("is a pickle of protocol {version}; 2 to 5 are read")),
                },
                0x95 => drop(self.take(8)?),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.push(Object::None)?,
                0x88 => self.push(Object::Int(1))?,
                0x89 => self.push(Object::Int(0))?,
                b'K' => self.whole(1)?,
                b'M' => self.whole(2)?,
                b'J' => {
                    let number = self.number(4)? as u32 as i32;
                    self.push(Object::Int(i64::from(number)))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    let bits = self.take(8)?.try_into().map_or(0, u64::from_be_bytes);
                    self.push(Object::Float(f64::from_bits(bits)))?;
                }
                b'X' => self.text(4)?,
                0x8c => self.text(1)?,
                b'U' => self.text(1)?,
                b'}' => self.push(Object::Dict(vec![]))?,
                b']' | b')' => self.push(Object::List(vec![]))?,
                b't' | b'l' => {
                    let items = self.since_mark()?;
                    self.push(Object::List(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let start = self.stack.len().checked_sub(count).ok_or("ends too early")?;
                    let items = self.stack.split_off(start);
                    self.push(Object::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let start = self.stack.len().checked_sub(2).ok_or("ends too early")?;
                    let items = self.stack.split_off(start);
                    self.set(&items)?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(&items)?;
                }
                b'q' => {
                    let at = self.number(1)? as usize;
                    self.memoise(at)?;
                }
                b'r' => {
                    let at = self.number(4)? as usize;
                    self.memoise(at)?;
                }
                0x94 => self.memoise(self.memo.len())?,
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop_text()?, self.pop_text()?);
                    self.global(&module, &name)?;
                }
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                // The attributes of an object; those of a dictionary with an order are versions of its modules.
                b'b' => drop(self.pop()?),
                other => {
                    return Err(format!("holds the instruction {other:#04x} of pickle, {}", name_of(other)));
                }
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or("ends too early; the file is incomplete")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<u64, String> {
        let mut eight = [0; 8];
        eight[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(eight))
    }

    fn whole(&mut self, width: usize) -> Result<(), String> {
        let number = self.number(width)?;
        self.push(Object::Int(number as i64))
    }

    /// A whole number of any length; of at most eight bytes.
    fn long(&mut self) -> Result<(), String> {
        let width = self.number(1)? as usize;
        if width > 8 {
            return Err(format!("holds a number of {width} bytes"));
        }
        let bits = self.number(width)?;
        let unused = 64 - 8 * width as u32;
        self.push(Object::Int(if width == 0 { 0 } else { (bits << unused) as i64 >> unused }))
    }

    fn text(&mut self, width: usize) -> Result<(), String> {
        let length = self.number(width)? as usize;
        let text = String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "holds a text that is none")?;
        self.push(Object::Text(text))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().take(300).position(|&byte| byte == b'\n').ok_or("holds a name without an end")?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn push(&mut self, object: Object) -> Result<(), String> {
        if self.objects.len() >= MOST {
            return Err(format!("holds more than {MOST} objects"));
        }
        self.objects.push(object);
        self.stack.push(self.objects.len() - 1);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let least = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= least {
            return Err("takes more than there is".into());
        }
        self.stack.pop().ok_or_else(|| "takes more than there is".into())
    }

    fn pop_text(&mut self) -> Result<String, String> {
        let id = self.pop()?;
        match &self.objects[id] {
            Object::Text(text) => Ok(text.clone()),
            _ => Err("has a name that is no text".into()),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let start =
            self.marks.pop().filter(|&start| start <= self.stack.len()).ok_or("ends what was not begun")?;
        Ok(self.stack.split_off(start))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let Some(Object::List(list)) = self.stack.last().map(|&id| &mut self.objects[id]) else {
            return Err("appends to what is no list".into());
        };
        list.extend(items);
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let Some(Object::Dict(entries)) = self.stack.last().map(|&id| &mut self.objects[id]) else {
            return Err("sets entries of what is no dictionary".into());
        };
        if !items.len().is_multiple_of(2) {
            return Err("has a key without a value".into());
        }
        entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn memoise(&mut self, at: usize) -> Result<(), String> {
        let &id = self.stack.last().ok_or("keeps nothing")?;
        self.memo.insert(at, id);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), String> {
        let at = self.number(width)? as usize;
        let &id = self.memo.get(&at).ok_or("recalls what was not kept")?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let whole = format!("{module}.{name}");
        let known = KNOWN.iter().find(|known| **known == whole);
        let known = known.ok_or_else(|| {
            format!(
                "needs `{whole:.120}`, which is code that is not run here; save the weights alone with \
                 torch.save(model.state_dict(), ...)"
            )
        })?;
        self.push(Object::Global(known))
    }

    /// `("storage", class, key, location, count)`
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let Object::List(parts) = self.objects[id].clone() else {
            return Err("has a storage that is none".into());
        };
        let part = |at: usize| parts.get(at).map(|&id| &self.objects[id]);
        let (
            Some(Object::Text(word)),
            Some(&Object::Global(kind)),
            Some(Object::Text(key)),
            Some(Object::Int(count)),
        ) = (part(0), part(1), part(2), part(4))
        else {
            return Err("has a storage that is none".into());
        };
        let count = usize::try_from(*count).map_err(|_| "has a storage of a size below 0")?;
        if word != "storage" || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err("has a storage that is none".into());
        }
        let storage = Object::Storage { kind, key: key.clone(), count };
        self.push(storage)
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Object::Global(function) = self.objects[function] else {
            return Err("calls what is no function".into());
        };
        let Object::List(arguments) = self.objects[arguments].clone() else {
            return Err("calls a function without arguments".into());
        };
        match function {
            "collections.OrderedDict" => {
                let mut entries = vec![];
                // An older way to write one: a list of pairs.
                if let Some(Object::List(pairs)) = arguments.first().map(|&id| &self.objects[id]) {
                    for &pair in pairs {
                        let Object::List(pair) = &self.objects[pair] else {
                            return Err("has a pair that is none".into());
                        };
                        let [key, value] = pair[..] else { return Err("has a pair that is none".into()) };
                        entries.push((key, value));
                    }
                }
                self.push(Object::Dict(entries))
            }
            "torch._utils._rebuild_parameter" => {
                let &data = arguments.first().ok_or("has a parameter without data")?;
                self.stack.push(data);
                Ok(())
            }
            "torch._utils._rebuild_tensor_v2" => {
                let tensor =
                    self.tensor(&arguments).ok_or("has a tensor whose parts are not those of one")?;
                self.push(tensor)
            }
            "torch.Size" => {
                let &list = arguments.first().ok_or("has a size without extents")?;
                self.stack.push(list);
                Ok(())
            }
            other => Err(format!("calls `{other}`, which is no function of tensors")),
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Option<Object> {
        let &storage = arguments.first()?;
        let Object::Storage { .. } = self.objects[storage] else { return None };
        let whole = |id: Id| match self.objects[id] {
            Object::Int(n) => usize::try_from(n).ok(),
            _ => None,
        };
        let list = |id: Id| match &self.objects[id] {
            Object::List(items) => items.iter().map(|&id| whole(id)).collect::<Option<Vec<usize>>>(),
            _ => None,
        };
        let (shape, strides) = (list(*arguments.get(2)?)?, list(*arguments.get(3)?)?);
        (shape.len() == strides.len() && shape.len() <= 16).then_some(())?;
        Some(Object::Tensor { storage, offset: whole(*arguments.get(1)?)?, shape, strides })
    }
}

/// What an instruction is called in Python's `pickletools`.
fn name_of(code: u8) -> String {
    let name = match code {
        0x81 => "NEWOBJ (makes an object of a class)",
        0x92 => "NEWOBJ_EX (makes an object of a class)",
        b'i' => "INST (makes an object of a class)",
        b'o' => "OBJ (makes an object of a class)",
        0x82..=0x84 => "EXT (calls an extension)",
        b'P' => "PERSID",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'B' | b'C' | 0x8e | 0x96 => "BYTES",
        0x8b => "LONG4",
        0x8f..=0x91 => "SET",
        _ => return "which files of tensors do not have".into(),
    };
    format!("{name}, which is not read; save the weights alone with torch.save(model.state_dict(), ...)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_refused_by_name() {
        // `os.system("id")`, as an attacker writes it.
        let error = read(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.").unwrap_err();
        assert!(error.contains("`os.system`"), "{error}");
        let error = read(b"\x80\x02ccollections\nOrderedDict\n)\x81.").unwrap_err();
        assert!(error.contains("NEWOBJ"), "{error}");
    }

    #[test]
    fn dictionaries_are_read() {
        let pickle = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x05X\x01\x00\x00\x00bM\x00\x01u.").unwrap();
        let Object::Dict(entries) = pickle.get(pickle.root) else { panic!() };
        let of = |id: Id| pickle.get(id).clone();
        assert_eq!(of(entries[0].0), Object::Text("a".into()));
        assert_eq!((of(entries[0].1), of(entries[1].1)), (Object::Int(5), Object::Int(256)));
        for cut in 0..8 {
            assert!(read(&b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x05u."[..cut]).is_err());
        }
        // What comes before a mark is not taken.
        assert!(read(b"\x80\x02K\x01(R.").is_err());
    }
}
