//! A processor with a program in its memory: calls functions, from one instruction to the next.

use crate::{
    bits::{self, Bits},
    elf::{Convention, Image},
    fault::Fault,
    graph::{Graph, Lit},
    isa::{Decision, Isa, Next, State as _},
    memory::{Memory, Rights, STACK},
    shares::Cuts,
    spec::{
        shared::{Function as Masked, Generator, Shared},
        uninterpreted::{Call, Cipher},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Where a function returns to.
const END: u64 = 0xbfff_0000;
/// The end of the stack.
const STACK_TOP: u64 = 0xbffe_0000;
/// What a call may take below.
const STACK_SIZE: usize = 256 * 1024;
/// What all ABIs here are content with.
const STACK_ALIGNMENT: u64 = 16;

/// What a kernel takes of the stack, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// All, with the address of return if it is there.
    pub taken: u64,
    /// From the stack pointer at the call to the lowest byte that may depend on a secret: on inputs, or on what was in a register.
    pub secret: u64,
}

/// A processor with the image in its memory.
#[derive(Debug)]
pub struct Machine<I: Isa> {
    /// The bits.
    pub graph: Graph,
    /// The memory.
    pub memory: Memory,
    pub(crate) state: I::State,
    image: Arc<Image>,
    pub(crate) isa: I,
    /// Of a register that nobody has written.
    unset: I::State,
    functions: BTreeMap<u64, (Function, String)>,
    /// Where the kernels begin, in both directions.
    kernels: BTreeMap<u64, Convention>,
    /// Those that were executed, with the most blocks that one got at a time.
    pub kernels_executed: BTreeMap<u64, u64>,
    decoded: HashMap<u64, (I::Instruction, usize)>,
    /// Instructions executed so far.
    pub executed: u64,
    /// What was executed at each address: the bytes of the instruction, after what makes it what it is.
    encodings: BTreeMap<u64, Vec<u8>>,
    /// The addresses of those that computed something from inputs.
    pub computing: BTreeSet<u64>,
    /// The stack pointer before the last call's first instruction.
    pointer: u64,
    /// Most bytes of stack that a call took.
    pub most_stack: u64,
    /// How many instructions a call may take.
    pub limit: u64,
    /// The cipher, where it is not executed.
    pub cipher: Option<Cipher>,
    /// The same with two shares.
    pub shared: Option<Shared>,
    /// Where the code computes with shares.
    pub cuts: Option<Cuts>,
}

/// Functions of the C library, which are not in the image and taken as the standard says.
#[derive(Clone, Copy, Debug)]
enum Function {
    Memcpy,
    Memmove,
    Memset,
    Missing,
}

impl<I: Isa> Machine<I> {
    /// A processor of that kind, with everything unset but the image.
    #[must_use]
    pub fn new(image: Arc<Image>, isa: I) -> Self {
        let mut graph = Graph::new();
        let mut memory = Memory::default();
        for segment in &image.segments {
            let rights = if segment.writable { Rights::Write } else { Rights::Read };
            let name = if segment.writable { "statics" } else { "code and constants" };
            memory.allow(name, segment.address, segment.bytes.len(), rights);
            memory.set(segment.address, &bits::of_bytes(&segment.bytes));
        }
        memory.allow(STACK, STACK_TOP - STACK_SIZE as u64, STACK_SIZE, Rights::Write);
        let unset = I::State::unset(&mut graph);
        let functions = image
            .symbols
            .iter()
            .filter(|(name, (address, _))| image.code(*address, 1).is_none() || image.chosen.contains(*name))
            .map(|(name, (address, _))| {
                let function = match name.as_str() {
                    "memcpy" => Function::Memcpy,
                    "memmove" => Function::Memmove,
                    "memset" => Function::Memset,
                    _ => Function::Missing,
                };
                (*address, (function, name.clone()))
            })
            .collect();
        let kernels =
            ["encrypt", "decrypt"].into_iter().flat_map(|direction| image.kernels(direction)).collect();
        Self {
            state: unset.clone(),
            graph,
            memory,
            image,
            isa,
            unset,
            functions,
            kernels,
            kernels_executed: BTreeMap::new(),
            decoded: HashMap::new(),
            executed: 0,
            encodings: BTreeMap::new(),
            computing: BTreeSet::new(),
            pointer: STACK_TOP,
            most_stack: 0,
            limit: 10_000_000,
            cipher: None,
            shared: None,
            cuts: None,
        }
    }

    /// Forgets all bits that are not constants, and what is computed from them.
    pub fn restart(&mut self) {
        self.graph = Graph::new();
        self.unset = I::State::unset(&mut self.graph);
        self.state = self.unset.clone();
        self.memory.keep_constants();
        if let Some(cipher) = &mut self.cipher {
            cipher.forget();
        }
        if let Some(shared) = &mut self.shared {
            shared.forget();
        }
    }

    /// Bytes of stack that the last call had taken when it called another function with the address of return there.
    #[must_use]
    pub fn stack_at(&self, pointer: u64) -> u64 {
        self.pointer - pointer
    }

    /// Replaces the image's code, by that of a mutant.
    pub fn replace_code(&mut self, image: Arc<Image>) {
        self.decoded.clear();
        self.image = image;
    }

    /// Calls the function at `address` and returns the low 32 bits of what it returns.
    ///
    /// What it finds in registers that are not its arguments, and in the stack, is unknown.
    ///
    /// # Errors
    /// If the execution meets what a proof must not pass; see [`Fault`].
    pub fn call(&mut self, address: u64, arguments: &[u64]) -> Result<u32, Fault> {
        self.call_deciding(address, arguments, &mut |_, _| None)
    }

    /// The same, where `decide` may take a decision that depends on a secret.
    ///
    /// # Errors
    /// As of [`Self::call`].
    pub fn call_deciding(
        &mut self,
        address: u64,
        arguments: &[u64],
        decide: Decision<'_>,
    ) -> Result<u32, Fault> {
        self.prepare();
        let abi = I::ABI;
        let (in_registers, on_stack) = arguments.split_at(arguments.len().min(abi.arguments.len()));
        for (&argument, &register) in in_registers.iter().zip(abi.arguments) {
            self.set(register, argument);
        }
        // What is above the stack pointer is the caller's.
        let size = (abi.word * on_stack.len()) as u64;
        let first = STACK_TOP - STACK_ALIGNMENT - size.next_multiple_of(STACK_ALIGNMENT);
        for (i, &argument) in on_stack.iter().enumerate() {
            self.memory.set(first + (abi.word * i) as u64, &self.word(argument));
        }
        let pointer = first - abi.size_of_return();
        self.run(address, pointer, pointer, decide)?;
        self.check_erased()?;
        let result = &self.state.general()[abi.result][..32];
        Ok(self.graph.known(result, "what it returns")? as u32)
    }

    /// Calls a kernel, as [`Cipher`] takes it to be called, with the stack as aligned as in `call`. Returns what it takes of it.
    ///
    /// # Errors
    /// As of [`Self::call`].
    pub fn call_kernel(&mut self, call: &Call) -> Result<Stack, Fault> {
        self.prepare();
        let abi = I::ABI;
        let pointer = STACK_TOP - 128 + call.pointer % 64;
        let words = pointer + abi.size_of_return();
        let mut end = words;
        let mut arguments = vec![call.keys];
        match call.convention {
            Convention::Words => {
                for word in [call.from, call.to, call.count] {
                    self.memory.set(end, &self.word(word));
                    end += abi.word as u64;
                }
                arguments.push(words);
            }
            Convention::Four => arguments.extend([call.from, call.to]),
        }
        for (&register, argument) in abi.arguments.iter().zip(arguments) {
            self.set(register, argument);
        }
        let taken = self.run(call.kernel, pointer, end, &mut |_, _| None)?;
        // Registers of the caller may hold secrets, whether or not a kernel has to leave them.
        let may_be_secret = |(_, byte): &(u64, [Lit; 8])| byte.iter().any(|bit| bit.value().is_none());
        let lowest = self.memory.bytes(STACK).find(may_be_secret);
        let secret = lowest.map_or(0, |(lowest, _)| pointer.saturating_sub(lowest));
        Ok(Stack { taken, secret })
    }

    /// A number as wide as registers.
    fn word(&self, value: u64) -> Bits {
        bits::constant(value, 8 * I::ABI.word)
    }

    fn set(&mut self, register: usize, value: u64) {
        self.state.general_mut()[register] = self.word(value);
    }

    /// What a call leaves on the stack must not depend on inputs, but for registers that it saved there.
    fn check_erased(&self) -> Result<(), Fault> {
        match self.left().next() {
            Some(first) => Err(Fault::Abi(format!(
                "it leaves what depends on secrets in {} B of stack, from {} B below its stack pointer on",
                self.left().count(),
                self.pointer - first
            ))),
            None => Ok(()),
        }
    }

    /// Addresses in the stack where the last call leaves what depends on inputs, from the lowest on.
    fn left(&self) -> impl Iterator<Item = u64> {
        let saved = I::ABI.saved.iter().map(|&register| &self.state.general()[register]).collect::<Vec<_>>();
        let is_left = move |byte: &[Lit; 8]| {
            byte.iter().any(|bit| {
                let is_saved = || saved.iter().any(|register| register.contains(bit));
                bit.value().is_none() && !self.graph.is_unset(*bit) && !is_saved()
            })
        };
        self.memory.bytes(STACK).filter(move |(_, byte)| is_left(byte)).map(|(address, _)| address)
    }

    /// The last call must have erased the `size` bytes of stack below the address of return at `pointer`.
    ///
    /// # Errors
    /// If it has not.
    pub fn check_erased_below(&self, pointer: u64, size: u64) -> Result<(), Fault> {
        let range = pointer - size..pointer;
        let is_erased = |(address, byte): &(u64, [Lit; 8])| {
            range.contains(address) && byte.iter().all(|&bit| !self.graph.is_unset(bit))
        };
        let erased = self.memory.bytes(STACK).filter(is_erased).count() as u64;
        if erased == size {
            return Ok(());
        }
        Err(Fault::Abi(format!(
            "a kernel's stack with secrets, {size} B from {} B below the stack pointer on, is not erased: {} B are left",
            self.pointer - pointer,
            size - erased
        )))
    }

    /// Makes all registers, flags and the stack unknown.
    fn prepare(&mut self) {
        self.memory.unset(STACK);
        self.state = self.unset.clone();
        for &register in I::ABI.saved {
            self.state.general_mut()[register] = self.graph.inputs(8 * I::ABI.word);
        }
        if let Some((register, symbol)) = I::ABI.global
            && let Ok(address) = self.image.function(symbol)
        {
            self.set(register, address);
        }
    }

    /// Executes a function with the stack pointer at the address of return, if it is there, and checks that it leaves what the ABI
    /// wants left. It may write the stack below `end`. Returns what it takes of the stack, the address of return included.
    fn run(&mut self, address: u64, pointer: u64, end: u64, decide: Decision<'_>) -> Result<u64, Fault> {
        let abi = I::ABI;
        self.pointer = pointer;
        match abi.link {
            Some(link) => self.set(link, END | abi.code_mark),
            None => self.memory.set(pointer, &self.word(END)),
        }
        self.set(abi.stack_pointer, pointer);
        let above = pointer + abi.size_of_return();
        let before = self.state.general().to_vec();
        self.graph.take_used_unset();
        self.memory.take_lowest();

        self.follow(address, decide)?;

        let mut taken = above - pointer;
        if let Some(written) = self.memory.written(STACK) {
            taken = above.saturating_sub(written.start);
            self.most_stack = self.most_stack.max(taken);
            if written.end > end {
                return Err(Fault::Abi("it writes above its stack pointer".to_owned()));
            }
        }
        for &register in abi.saved {
            let expected =
                if register == abi.stack_pointer { self.word(above) } else { before[register].clone() };
            if self.state.general()[register] != expected {
                return Err(Fault::Abi(format!("register {register} is not what it was")));
            }
        }
        Ok(taken)
    }

    /// Executes from `address` until the function returns.
    fn follow(&mut self, address: u64, decide: Decision<'_>) -> Result<(), Fault> {
        let mut pc = address;
        let start = self.executed;
        while pc != END {
            let pointer = self.stack_pointer()?;
            if let Some((function, name)) = self.functions.get(&pc) {
                let (function, name) = (*function, name.clone());
                let done = self.library(function, &name).and_then(|next| {
                    self.check_lowest(pointer)?;
                    Ok(next)
                });
                pc = done.map_err(|fault| fault.at(pc, name))?;
                continue;
            }
            let convention = self.cipher.as_ref().and_then(|cipher| cipher.kernels.get(&pc).copied());
            if let Some(convention) = convention {
                let done = self.encipher(pc, convention).and_then(|next| {
                    self.check_lowest(pointer)?;
                    Ok(next)
                });
                pc = done.map_err(|fault| fault.at(pc, "a call of the cipher".to_owned()))?;
                continue;
            }
            let masked = self.shared.as_ref().and_then(|shared| shared.functions.get(&pc).copied());
            if let Some(function) = masked {
                let done = self.share(function).and_then(|next| {
                    self.check_lowest(pointer)?;
                    Ok(next)
                });
                pc = done.map_err(|fault| fault.at(pc, format!("{function:?}")))?;
                continue;
            }
            if let Some(&convention) = self.kernels.get(&pc) {
                let entered = self.enter_kernel(pc, convention);
                entered.map_err(|fault| fault.at(pc, "a kernel".to_owned()))?;
            }
            let (instruction, size) = self.fetch(pc)?;
            self.executed += 1;
            if self.executed - start > self.limit {
                return Err(Fault::TooLong);
            }
            if !self.encodings.contains_key(&pc) {
                let mut encoding = self.state.context();
                encoding.extend(&self.image.code(pc, size).expect("it was fetched")[..size]);
                self.encodings.insert(pc, encoding);
            }
            let before = self.graph.statistics.gates;
            let done = I::step(self, &instruction, decide);
            if self.graph.statistics.gates != before {
                self.computing.insert(pc);
            }
            let located = |fault: Fault| fault.at(pc, instruction.to_string());
            let next = done.map_err(located)?;
            // An instruction may take the stack that it writes, or leave what it reads.
            let lowest = self.stack_pointer()?.min(pointer) - I::ABI.red_zone;
            self.check_lowest(lowest).map_err(located)?;
            if self.graph.take_used_unset() {
                return Err(located(Fault::Unset("a result")));
            }
            if let Some(cuts) = &mut self.cuts {
                let frame =
                    self.graph.known(&self.state.general()[I::ABI.stack_pointer], "the stack pointer")?;
                cuts.after(&mut self.graph, &mut self.memory, self.state.general_mut(), frame);
            }
            pc = match next {
                Next::Following => pc + size as u64,
                Next::To(address) => address,
            };
        }
        Ok(())
    }

    fn stack_pointer(&self) -> Result<u64, Fault> {
        self.graph.known(&self.state.general()[I::ABI.stack_pointer], "the stack pointer")
    }

    /// Nothing of the stack below `lowest` may have been accessed: an interrupt may overwrite it at any time.
    fn check_lowest(&mut self, lowest: u64) -> Result<(), Fault> {
        match self.memory.take_lowest() {
            Some(accessed) if accessed < lowest => Err(Fault::BelowStack(lowest - accessed)),
            _ => Ok(()),
        }
    }

    /// Notes that a kernel begins, and how many blocks it gets.
    fn enter_kernel(&mut self, kernel: u64, convention: Convention) -> Result<(), Fault> {
        let count = match convention {
            Convention::Words => {
                let words = &self.state.general()[I::ABI.arguments[1]];
                let words = self.graph.known(words, "an argument of the cipher")?;
                let count = self.memory.read(&mut self.graph, words + 2 * I::ABI.word as u64, I::ABI.word)?;
                self.graph.known(&count, "an argument of the cipher")?
            }
            Convention::Four => {
                self.choose_unset_blocks()?;
                4
            }
        };
        let most = self.kernels_executed.entry(kernel).or_default();
        *most = count.max(*most);
        Ok(())
    }

    /// A kernel that takes four blocks may be called where not all were written. What it makes of the others must not depend on
    /// these: what is unset becomes inputs, so that all values are looked at.
    fn choose_unset_blocks(&mut self) -> Result<(), Fault> {
        let input = &self.state.general()[I::ABI.arguments[1]];
        let input = self.graph.known(input, "an argument of the cipher")?;
        let blocks = self.memory.read(&mut self.graph, input, 4 * 8)?;
        let any = |bit: Lit| if self.graph.is_unset(bit) { self.graph.input() } else { bit };
        let blocks: Bits = blocks.into_iter().map(any).collect();
        self.memory.set(input, &blocks);
        Ok(())
    }

    /// The instruction at `address`, and its size.
    fn fetch(&mut self, address: u64) -> Result<(I::Instruction, usize), Fault> {
        if let Some(known) = self.decoded.get(&address) {
            return Ok(known.clone());
        }
        let code = self.image.code(address, 15).ok_or(Fault::NoCode(address))?;
        let decoded =
            self.isa.decode(code, address).ok_or_else(|| Fault::Undecodable.at(address, String::new()))?;
        self.decoded.insert(address, decoded.clone());
        Ok(decoded)
    }

    /// The addresses of what was executed so far.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<u64> {
        self.encodings.keys().copied().collect()
    }

    /// What was executed so far: the bytes of each instruction, after what makes it what it is.
    #[must_use]
    pub fn encodings(&self) -> BTreeSet<Vec<u8>> {
        self.encodings.values().cloned().collect()
    }

    /// The value of a condition. One that depends on inputs is a fault, unless `decide` knows it and takes the decision.
    pub(crate) fn decide(&mut self, condition: Lit, decide: Decision<'_>) -> Result<bool, Fault> {
        if let Some(value) = condition.value() {
            return Ok(value);
        }
        if self.graph.is_unset(condition) {
            return Err(Fault::Unset("a branch"));
        }
        if let Some(shared) = &mut self.shared
            && let Some(value) = shared.decide(&mut self.graph, condition)
        {
            return Ok(value);
        }
        decide(&mut self.graph, condition).ok_or(Fault::Secret("a branch"))
    }

    fn library(&mut self, function: Function, name: &str) -> Result<u64, Fault> {
        if matches!(function, Function::Missing) {
            return Err(Fault::Missing(name.to_owned()));
        }
        let argument = |i: usize| self.graph.known(&self.state.general()[I::ABI.arguments[i]], "an argument");
        let (to, size) = (argument(0)?, argument(2)? as usize);
        let data = match function {
            Function::Memset => self.state.general()[I::ABI.arguments[1]][..8].repeat(size),
            _ => {
                let from = argument(1)?;
                let overlap = from < to + size as u64 && to < from + size as u64;
                if matches!(function, Function::Memcpy) && overlap && from != to {
                    return Err(Fault::Abi("it copies between regions that overlap".to_owned()));
                }
                self.memory.read(&mut self.graph, from, size)?
            }
        };
        self.memory.write(to, &data)?;
        let back = self.leave()?;
        self.set(I::ABI.result, to);
        Ok(back)
    }

    /// Does what a kernel does, as [`Cipher`] has it.
    fn encipher(&mut self, address: u64, convention: Convention) -> Result<u64, Fault> {
        let abi = I::ABI;
        let known = |m: &Self, bits: &[Lit]| m.graph.known(bits, "an argument of the cipher");
        let argument = |m: &Self, i: usize| known(m, &m.state.general()[abi.arguments[i]]);
        let (keys, second) = (argument(self, 0)?, argument(self, 1)?);
        let [from, to, count] = match convention {
            Convention::Words => {
                let mut words = [0; 3];
                for (i, word) in words.iter_mut().enumerate() {
                    let at = second + (abi.word * i) as u64;
                    let bits = self.memory.read(&mut self.graph, at, abi.word)?;
                    *word = known(self, &bits)?;
                }
                words
            }
            Convention::Four => [second, argument(self, 2)?, 4],
        };
        let pointer = known(self, &self.state.general()[abi.stack_pointer])?;
        let cipher = self.cipher.as_mut().expect("it is not executed");
        cipher.encipher(
            &mut self.graph,
            &mut self.memory,
            Call { kernel: address, convention, keys, from, to, count, pointer },
        )?;
        // What else a kernel may change.
        self.memory.unset_below(STACK, pointer);
        if convention == Convention::Words {
            let words = &abi.arguments[..3];
            let unset: Bits =
                words.iter().flat_map(|&register| self.unset.general()[register].clone()).collect();
            self.memory.write(second, &unset)?;
        }
        self.leave()
    }

    /// Does what a function with two shares does, as [`Shared`] has it.
    fn share(&mut self, function: Masked) -> Result<u64, Fault> {
        let pointer = self.stack_pointer()?;
        let shared = self.shared.as_mut().expect("it is not executed");
        let arguments = I::ABI.arguments.iter().map(|&register| self.state.general()[register].clone());
        let arguments: Vec<Bits> = arguments.collect();
        let argument = |g: &Graph, i: usize| g.known(&arguments[i], "an argument of a kernel");
        shared.call(&mut self.graph, &mut self.memory, function, argument)?;
        // What the caller's function leaves on the stack is not the library's.
        if function != Masked::Random {
            shared.calls.insert((function, pointer));
        }
        let fails = shared.generator == Generator::Fails;
        self.memory.unset_below(STACK, pointer);
        let next = self.leave()?;
        if function == Masked::Random {
            self.set(I::ABI.result, fails.into());
        }
        Ok(next)
    }

    /// Returns from a function that may have changed all registers that it has not to leave.
    fn leave(&mut self) -> Result<u64, Fault> {
        let abi = I::ABI;
        let pointer = self.graph.known(&self.state.general()[abi.stack_pointer], "the stack pointer")?;
        let address = match abi.link {
            Some(link) => self.state.general()[link].clone(),
            None => self.memory.read(&mut self.graph, pointer, abi.word)?,
        };
        let address = self.graph.known(&address, "a jump")?;
        let saved: Vec<Bits> =
            abi.saved.iter().map(|&register| self.state.general()[register].clone()).collect();
        self.state = self.unset.clone();
        for (&register, value) in abi.saved.iter().zip(saved) {
            self.state.general_mut()[register] = value;
        }
        self.set(abi.stack_pointer, pointer + abi.size_of_return());
        Ok(address & !abi.code_mark)
    }
}
