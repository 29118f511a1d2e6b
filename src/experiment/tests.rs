//! Tests of messages about keys: their words, and that no table takes a key it does not know.

use super::*;
use crate::nn::losses::Loss;

const BASE: &str = "name = \"x\"\ndata.source = \"x.csv\"\ndata.target = \"y\"\n";

/// The refusal of the base experiment with these `--set` arguments.
fn refusal(sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    match Experiment::parse(BASE, "x.toml", &sets) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{sets:?} is accepted"),
    }
}

#[test]
fn messages_say_the_form_that_is_allowed() {
    let cases = [
        ("data=1", "{ source = \"table.csv\", target = \"price\" }"),
        ("name=3", "a text in quotes; found 3"),
        ("train=4", "a table such as { epochs"),
        ("train.schedule=3", "{ type = \"cosine\""),
        ("train.schedule=Cosine", "did you mean `cosine`"),
        ("train.schedule={type=3}", "a name in quotes"),
        ("train.loss=3", "a name such as \"mse\""),
        ("train.loss=MSE", "did you mean `mse`"),
        ("train.loss={type=\"mse\",delta=1}", "unknown key `delta`; it has no keys of its own"),
        ("train.optimizer=Adam", "did you mean `adam`"),
        ("train.optimizer=[1]", "a name"),
        ("train.optimizer=[\"sgd\",0.9]", "a table such as { type = \"sgd\", momentum = 0.9 }; found a list"),
        ("train.loss=[\"huber\",1.0]", "{ type = \"huber\", delta = 1.0 }; found a list"),
        ("train.optimizer_state=3", "a name in quotes: device, sharded, host; found 3"),
        ("train.optimizer_state={host={}}", "a name in quotes; found a table"),
        ("train.optimizer_state=2020-01-01", "a name in quotes: device, sharded, host; found 2020-01-01"),
        ("data.split=[\"folds\",5,0,0.15]", "found a list"),
        ("model.layer=[[\"dense\",3]]", "{ type = \"dense\", units = 64 }; found a list"),
        ("train.optimizer={type=\"adam\",betas=[0.9]}", "a list of 2 numbers such as [0.9, 0.999]"),
        ("train.optimizer={beta=1}", "the key `type` is missing"),
        ("train.decay=ALL", "did you mean `all`"),
        ("train.epochs=1.5", "a whole number from 0 up; found 1.5"),
        ("train.learning_rate=fast", "a number; found \"fast\""),
        ("train.early_stopping=true", "{ patience = 10 }"),
        ("tune={epochs=3}", "write a study"),
        ("model.activation=ReLU", "did you mean `relu`"),
        ("model.activation=3", "a name in quotes"),
        ("model.activation={relu=1}", "a name in quotes"),
        ("model.activation=[]", "a name in quotes"),
        ("model.hidden=\"64\"", "a list in brackets such as [64]; found \"64\""),
        ("model.hidden=64", "such as [64]"),
        ("model.hidden=[-1]", "a whole number from 0 up; found -1"),
        ("model.layer=3", "[[model.layer]]"),
        ("model.layer=[3]", "{ type = \"dense\", units = 64 }"),
        ("model.layer=[{units=3}]", "the key `type` is missing"),
        ("model.kernel=[1,2,3]", "two such as [3, 5]"),
        ("model.variance=x", "\"learned\""),
        ("model.dropout=1", "must be at least 0 and below 1"),
        ("data.image.shape=[1]", "[channels, height, width] such as [1, 28, 28]; found a list of 1"),
        ("data.image.shape=[1,2,3,4]", "found a list of 4"),
        ("data.features=\"a\"", "such as [\"a\"]"),
        ("data.clean.numbers=constant", "{ constant = \"0\" }"),
        ("data.clean.numbers={a=1,b=2}", "a single name"),
        ("data.split=random", "{ by = \"random\""),
        ("data.split={by=\"files\",validation=[1]}", "a fraction such as 0.15"),
        ("data.split={by=\"random\",validation=1e308}", "= 1e308 is not a part of the rows"),
        ("data.split={by=\"order\",validation=0.7,test=0.3}", "together they must be below 1"),
        ("data.split={by=\"files\",validation=-0.1}", "= -0.1 is not a part"),
        ("data.split={by=\"folds\",folds=5,fold=7}", "= 7 must be below `folds` = 5"),
        ("data.split={by=\"rolling\",folds=0}", "= 0 must be at least 1"),
        ("data.split={by=\"rows\",every=1}", "= 1 must be at least 2"),
        ("data.csv.delimiter=ab", "a single character"),
        ("data.csv.header=1", "true or false"),
        ("data.reshape={by=\"week\"}", "there are day, pivot"),
        ("data.derive=3", "a table"),
        ("data.transform.timestamps=\"hour\"", "[\"hour\"]"),
    ];
    let rust = [
        "struct",
        "enum",
        "tuple",
        "u32",
        "u64",
        "usize",
        "f64",
        "i64",
        "sequence",
        "variant",
        "field",
        "array",
        "newtype",
        "unit value",
        "map",
        "string only",
    ];
    for (set, wanted) in cases {
        let of_file = {
            let mut table: toml::Table = toml::from_str(BASE).unwrap();
            override_key(&mut table, set).unwrap();
            Experiment::parse(&toml::to_string(&table).unwrap(), "x.toml", &[]).unwrap_err().to_string()
        };
        for message in [refusal(&[set]), of_file] {
            // What the user typed may hold any word.
            let said = message.replace(&format!("--set {set}"), "");
            assert!(said.contains(wanted), "{set}: {message}");
            for word in rust {
                assert!(!said.contains(word), "{set}: `{word}` in {message}");
            }
        }
    }
    let named = Experiment::parse(BASE, "x.toml", &["train.schedule=cosine".into()]).unwrap();
    let table = Experiment::parse(BASE, "x.toml", &["train.schedule={type=\"cosine\"}".into()]).unwrap();
    assert_eq!(named, table);
}

#[test]
fn a_number_too_large_is_told_as_it_was_written() {
    let text = format!("{BASE}train.epochs = 99999999999999999999\n");
    let said = Experiment::parse(&text, "x.toml", &[]).unwrap_err().to_string();
    assert!(said.ends_with("expected a whole number from 0 up; found 99999999999999999999"), "{said}");
}

#[test]
fn an_argument_sets_one_key() {
    let said = refusal(&["train.epochs=3\ntrain.seed=1"]);
    assert!(said.contains("give each a --set of its own"), "{said}");
    let list = ["train.schedule={\n type=\"cosine\"\n}".to_string()];
    assert!(Experiment::parse(BASE, "x.toml", &list).is_ok(), "a value may have lines");
}

/// Every table and every variant of a table, as `--set` arguments that are accepted but for what `check` says
/// of values; `+` stands for the key too many.
const TABLES: [&str; 92] = [
    "data={source=\"x\"+}",
    "data.csv={header=true+}",
    "data.clean={indicators=true+}",
    "data.transform={cyclic=true+}",
    "data.augment={noise=0.1+}",
    "data.memory={rows=\"host\"+}",
    "data.image={shape=[1,2,2]+}",
    "data.text={length=3+}",
    "data.window={length=3+}",
    "data.graph={id=\"a\",edges=\"b.csv\"+}",
    "data.graph={id=\"a\",nodes=\"n.csv\",edges=\"b.csv\"+}",
    "data.reshape={by=\"day\",time=\"t\",columns=[\"a\"]+}",
    "data.reshape={by=\"pivot\",row=\"t\",names=\"n\",values=[\"a\"]+}",
    "data.split={by=\"random\"+}",
    "data.split={by=\"order\"+}",
    "data.split={by=\"time\",column=\"t\",validation=\"2020\",test=\"2021\"+}",
    "data.split={by=\"rolling\"+}",
    "data.window={length=3,time=\"t\",resample={to=\"1h\"+}}",
    "data.split={by=\"column\",column=\"t\"+}",
    "data.split={by=\"rows\",every=3+}",
    "data.split={by=\"folds\",folds=3+}",
    "data.split={by=\"files\"+}",
    "model={family=\"mlp\"+}",
    "model={family=\"cnn\"+}",
    "model={family=\"resnet\"+}",
    "model={family=\"alexnet\"+}",
    "model={family=\"rnn\"+}",
    "model={family=\"tcn\"+}",
    "model={family=\"unet\"+}",
    "model={family=\"vae\"+}",
    "model.layer=[{type=\"unet\",channels=[3,4]+}]",
    "model={family=\"gan\"+}",
    "model.layer=[{type=\"dense\",units=3+}]",
    "model.layer=[{type=\"activation\",function=\"relu\"+}]",
    "model.layer=[{type=\"dropout\",rate=0.1+}]",
    "model.layer=[{type=\"layer_norm\"+}]",
    "model.layer=[{type=\"batch_norm\"+}]",
    "model.layer=[{type=\"group_norm\",groups=1+}]",
    "model.layer=[{type=\"conv2d\",channels=3+}]",
    "model.layer=[{type=\"conv1d\",channels=3,kernel=3+}]",
    "model.layer=[{type=\"conv_transpose2d\",channels=3+}]",
    "model.layer=[{type=\"max_pool\"+}]",
    "model.layer=[{type=\"avg_pool\"+}]",
    "model.layer=[{type=\"global_pool\"+}]",
    "model.layer=[{type=\"flatten\"+}]",
    "model.layer=[{type=\"unflatten\",shape=[1,2,2]+}]",
    "model.layer=[{type=\"upsample\"+}]",
    "model.layer=[{type=\"recurrent\",hidden=3+}]",
    "model.layer=[{type=\"residual\",channels=3+}]",
    "model.layer=[{type=\"rms_norm\"+}]",
    "model.layer=[{type=\"attention\",heads=2+}]",
    "model.layer=[{type=\"transformer\",heads=2+}]",
    "model.layer=[{type=\"position\"+}]",
    "model.layer=[{type=\"tokens\",width=8+}]",
    "model.layer=[{type=\"graph_conv\",units=3+}]",
    "model.layer=[{type=\"graph_sage\",units=3+}]",
    "model.layer=[{type=\"graph_attention\",units=3+}]",
    "model.layer=[{type=\"adaptive_pool\",size=3+}]",
    "model.layer=[{type=\"local_response_norm\",size=5+}]",
    "model.layer=[{type=\"temporal_block\",channels=3+}]",
    "train={epochs=3+}",
    "train.loss={type=\"mse\"+}",
    "train.loss={type=\"mae\"+}",
    "train.loss={type=\"huber\"+}",
    "train.loss={type=\"quantile\"+}",
    "train.loss={type=\"bce_with_logits\"+}",
    "train.loss={type=\"elbo\"+}",
    "train.loss={type=\"adversarial\"+}",
    "train.loss={type=\"cross_entropy\"+}",
    "train.loss={type=\"focal\"+}",
    "train.loss={type=\"poisson\"+}",
    "train.loss={type=\"tweedie\"+}",
    "train.optimizer={type=\"sgd\"+}",
    "train.optimizer={type=\"adam\"+}",
    "train.optimizer={type=\"adamax\"+}",
    "train.optimizer={type=\"adamw\"+}",
    "train.optimizer={type=\"rmsprop\"+}",
    "train.optimizer={type=\"adagrad\"+}",
    "train.optimizer={type=\"adadelta\"+}",
    "train.optimizer={type=\"nadam\"+}",
    "train.optimizer={type=\"radam\"+}",
    "train.optimizer={type=\"lion\"+}",
    "train.optimizer={type=\"lamb\"+}",
    "train.schedule={type=\"constant\"+}",
    "train.schedule={type=\"step\"+}",
    "train.schedule={type=\"cosine\"+}",
    "train.early_stopping={patience=3+}",
    "train.discriminator={learning_rate=1e-3+}",
    "train.adversarial={method=\"pgd\",radius=0.1+}",
    "uncertainty={coverage=0.9+}",
    "model.lora={rank=4+}",
    "train.group=[{parameters=\"0.*\",learning_rate=1e-3+}]",
];

/// The name that `f` says no value has, listed by the reader's own message.
fn names_of<T: serde::de::DeserializeOwned>(tag: &str) -> Vec<String> {
    let text = format!("{tag} = \"?\"");
    let message = toml::from_str::<T>(&text).err().unwrap().message().to_string();
    message.split('`').skip(3).step_by(2).map(str::to_string).collect()
}

#[test]
fn a_key_too_many_is_refused_in_every_table() {
    for table in TABLES {
        // Without it, nothing is said about keys, or the test would hold for any reason.
        let without = Experiment::parse(BASE, "x.toml", &[table.replace('+', "")]);
        let said = without.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(!said.contains("key `") && !said.contains("expected"), "{table}: {said}");
        let with = refusal(&[&table.replace('+', ",zzz=1")]);
        assert!(with.contains("unknown key `zzz`"), "{table}: {with}");
    }
    let types = [
        ("data.split={by", names_of::<crate::data::config::SplitConfig>("by")),
        ("data.reshape={by", names_of::<crate::data::config::ReshapeConfig>("by")),
        ("model.layer=[{type", names_of::<crate::nn::layers::LayerConfig>("type")),
        ("train.loss={type", names_of::<Loss>("type")),
        ("train.optimizer={type", names_of::<crate::optim::Optimizer>("type")),
        ("train.schedule={type", names_of::<crate::optim::schedule::Schedule>("type")),
    ];
    for (start, names) in types {
        assert!(!names.is_empty(), "{start}");
        for name in names {
            let tried = TABLES.iter().any(|table| table.starts_with(&format!("{start}=\"{name}\"")));
            assert!(tried, "{start} = {name} is not among the tables tried");
        }
    }
    assert!(refusal(&["zzz=1"]).contains("unknown key `zzz`"));
}

#[test]
fn every_default_that_applies_is_written_out() {
    let data = [
        "[data.csv]",
        "default_missing = true",
        "missing = []",
        "exclude = []",
        "drop_missing = []",
        "flip_horizontal = false",
        "rotation = 0.0",
        "seed = 0",
        "validation = 0.15",
        "batch_size = 32",
        "every_epochs = 10",
    ];
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["family = \"mlp\"", "hidden = [128, 64]", "dropout = 0.0"]),
        (&["model.family=cnn"], &["channels = [32, 64]", "kernel = 3", "pool = 2"]),
        (&["model.family=rnn"], &["cell = \"lstm\"", "bidirectional = false", "dense = []"]),
        (&["model.family=vae"], &["channels = []", "latent = 16", "free_bits = 0.0"]),
        (&["model.family=vae", "model.channels=[4]"], &["kernel = 3", "beta = 1.0"]),
        (
            &["model.family=gan"],
            &["latent = 64", "gan_loss = \"original\"", "critic_steps = 1", "average = 0.999"],
        ),
        (&["train.loss=cross_entropy"], &["label_smoothing = 0.0", "class_weights = []"]),
        (&["data.image={shape=[1,2,2]}"], &["fit = \"squash\"", "on_error = \"fail\"", "classes = []"]),
    ];
    for (sets, wanted) in cases {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let experiment = Experiment::parse(BASE, "x.toml", &sets).unwrap();
        let text = experiment.resolved();
        for line in wanted.iter().chain(&data) {
            assert!(text.lines().any(|l| l == *line), "{sets:?}: `{line}` is missing in\n{text}");
        }
        assert_eq!(Experiment::parse(&text, "run.toml", &[]).unwrap(), experiment, "{text}");
        // A run of an earlier version lacks what was not written then.
        let lacks = |line: &&str| !wanted.contains(line) && !data.contains(line) || line.contains("family");
        let earlier: String = text.lines().filter(lacks).map(|l| format!("{l}\n")).collect();
        let earlier = Experiment::parse(&earlier, "run.toml", &sets).unwrap();
        assert_eq!(earlier.resolved(), text, "{sets:?}");
    }
    let unread =
        Experiment::parse(BASE, "x.toml", &["model.kernel=3".into(), "model.pool=2".into()]).unwrap();
    assert_eq!(unread, Experiment::parse(BASE, "x.toml", &[]).unwrap());
}

#[test]
fn keys_are_refused_by_the_name_that_was_given() {
    for (set, wanted) in [
        ("model={family=\"resnet\",kernel=3}", "`model.kernel`"),
        ("model={family=\"resnet\",pool=2}", "`model.pool`"),
        ("model={family=\"alexnet\",pool=2}", "`model.pool`"),
        ("model={family=\"tcn\",pool=2}", "`model.pool`"),
        ("model={family=\"tcn\",channels=[0]}", "`model.channels`"),
        ("model={family=\"cnn\",channels=[0]}", "`model.channels`"),
        ("model={family=\"cnn\",kernel=0}", "`model.kernel`"),
        ("model={family=\"cnn\",pool=0}", "`model.pool`"),
    ] {
        let said = refusal(&[set]);
        assert!(said.contains(wanted), "{set}: {said}");
    }
}

#[test]
fn only_a_default_batch_is_changed() {
    let of = |sets: &[&str], rows| {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Experiment::parse(BASE, "x.toml", &sets).unwrap().batch_for(rows)
    };
    assert_eq!(of(&[], 32), None);
    assert_eq!(of(&[], 31), Some(31));
    assert_eq!(of(&["train.accumulate=4"], 30), Some(28));
    assert_eq!(of(&["train.accumulate=4"], 3), None);
    assert_eq!(of(&["model.norm=batch"], 1), None);
    assert_eq!(of(&["train.batch_size=32"], 31), None);
    assert_eq!(of(&[], 0), None);
    let graph = "data.graph={id=\"a\",edges=\"b.csv\"}";
    assert_eq!(of(&[graph], 140), Some(140));
    assert_eq!(of(&[graph, "train.batch_size=32"], 140), None);
    let graphs = "data.graph={id=\"a\",nodes=\"n.csv\",edges=\"b.csv\"}";
    assert_eq!(of(&[graphs, "model.layer=[{type=\"global_pool\"}]"], 140), None);
}

#[test]
fn every_key_is_listed_with_a_sentence() {
    let mut known = keys::tables();
    known.push(String::new());
    for table in &known {
        for key in keys::keys(table).unwrap() {
            assert!(!key.about.is_empty(), "{table}: {key:?}");
            assert!(!key.kind.is_empty(), "{table}: {key:?}");
        }
    }
    // Every key that a resolved experiment holds is among them.
    fn walk(path: &str, table: &toml::Table) {
        let listed = keys::keys(path).unwrap();
        for (key, value) in table {
            assert!(listed.iter().any(|k| k.key == *key), "{path}.{key} is not listed");
            if let (toml::Value::Table(inner), false) = (value, key == "types" || key == "columns") {
                walk(format!("{path}.{key}").trim_start_matches('.'), inner);
            }
        }
    }
    for family in ["mlp", "cnn", "resnet", "alexnet", "rnn", "tcn", "transformer", "vae", "gan"] {
        let experiment = Experiment::parse(BASE, "x.toml", &[format!("model.family={family}")]).unwrap();
        walk("", &toml::from_str(&experiment.resolved()).unwrap());
    }
    let of = |table: &str, key: &str| keys::keys(table).unwrap().into_iter().find(|k| k.key == key).unwrap();
    assert_eq!(of("train", "batch_size").default.as_deref(), Some("32"));
    assert_eq!(of("train", "early_stopping").default, None);
    assert!(of("data", "source").required);
    assert_eq!(
        of("model", "family").kind,
        "\"mlp\" | \"cnn\" | \"resnet\" | \"alexnet\" | \"rnn\" | \"tcn\" | \"transformer\" | \"unet\" | \"vae\" | \
         \"gan\""
    );
    let lion = keys::keys("train.optimizer").unwrap();
    assert!(lion.iter().any(|k| k.key == "betas" && k.form.as_deref() == Some("type = \"lion\"")));
    assert!(keys::keys("trian").unwrap_err().contains("did you mean `train`"));
}

#[test]
fn the_loss_follows_what_the_source_holds() {
    for (source, sets, loss) in [
        ("train-images-idx3-ubyte", &[][..], "cross_entropy"),
        ("train-images-idx3-ubyte.gz", &["model.family=cnn"], "cross_entropy"),
        ("photos", &["model.family=cnn"], "cross_entropy"),
        ("photos", &["data.image={shape=[3,8,8]}", "model.family=mlp"], "cross_entropy"),
        ("table.csv", &["data.target=y"], "mse"),
        ("photos", &["model.family=cnn", "train.loss=mse"], "mse"),
    ] {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let text = format!("name = \"x\"\ndata.source = \"{source}\"\n");
        let experiment = Experiment::parse(&text, "x.toml", &sets).unwrap();
        assert_eq!(experiment.train.loss.name(), loss, "{source} {sets:?}");
    }
}

#[test]
fn keys_that_the_model_does_not_read_are_refused() {
    let layers = "model.layer=[{type=\"dense\", units=3}]";
    let parts = [
        "model.family=gan",
        "model.generator=[{type=\"dense\", units=3}]",
        "model.discriminator=[{type=\"dense\", units=3}]",
    ];
    for key in
        ["hidden=[3]", "activation=gelu", "norm=batch", "dropout=0.5", "channels=[3]", "kernel=5", "pool=5"]
    {
        let key = format!("model.{key}");
        let said = refusal(&[layers, &key]);
        let (name, _) = key.split_once('=').unwrap();
        assert!(said.contains(name) && said.contains("lists its layers"), "{key}: {said}");
    }
    for (key, expected) in [
        ("model.hidden=[3]", "lists its layers"),
        ("model.activation=gelu", "lists its layers"),
        ("model.pool=3", "`family = \"cnn\"`"),
    ] {
        let said = refusal(&[parts[0], parts[1], parts[2], key]);
        assert!(said.contains(expected), "{key}: {said}");
    }
    let said = refusal(&["model.channels=[3]"]);
    assert!(said.contains("`model.channels` is a key of `family = \"cnn\"`"), "{said}");
    // Defaults that runs write out say nothing.
    let sets = [layers, "model.hidden=[128, 64]", "model.dropout=0.0"].map(str::to_string);
    assert!(Experiment::parse(BASE, "x.toml", &sets).is_ok());
}

#[test]
fn keys_of_transformers_are_named_in_their_messages() {
    for (sets, expected) in [
        (&["model.family=transformer", "model.width=0"][..], "`model.width`"),
        (&["model.family=transformer", "model.feed_forward=0"], "`model.feed_forward`"),
        (&["model.family=transformer", "model.patch=0"], "`model.patch`"),
        (&["model.family=transformer", "model.width=30"], "`model.heads` = 4 does not divide `width` = 30"),
        (&["model.family=transformer", "model.hidden=[9]"], "`model.hidden` is no key"),
        (&["model.width=64"], "`model.width` is a key of `family = \"transformer\"`"),
    ] {
        let said = refusal(sets);
        assert!(said.contains(expected), "{sets:?}: {said}");
    }
}
