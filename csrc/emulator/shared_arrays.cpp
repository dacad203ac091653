#include "emulator/shared_arrays.h"

#ifndef PYCNN_EMULATOR_CHECKED

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace pycnn::emulator {

namespace {

struct Variable {
    size_t offset, bytes;  // in a thread's block of the module's variables
};

// The module that holds this file, and its thread-local variables on the calling thread.
struct Module {
    std::string file;
    char* variables = nullptr;
};

Module this_module() {
    thread_local volatile char in_use;
    (void)(in_use = 0);  // the thread's block exists from its first use on
    Module module;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* result) {
            const auto here = reinterpret_cast<uintptr_t>(&this_module);
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const ElfW(Phdr) & part = info->dlpi_phdr[i];
                const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
                if (part.p_type != PT_LOAD || here < begin || here >= begin + part.p_memsz)
                    continue;
                auto& found = *static_cast<Module*>(result);
                found.file = *info->dlpi_name != '\0' ? info->dlpi_name : "/proc/self/exe";
                found.variables = static_cast<char*>(info->dlpi_tls_data);
                return 1;
            }
            return 0;
        },
        &module);
    return module;
}

// The thread-local variables inside of functions of pycnn::cuda, from the module's symbol table.
std::vector<Variable> variables_of_kernels(const std::string& file) {
    std::vector<Variable> variables;
    std::ifstream in(file, std::ios::binary);
    const auto read = [&](uint64_t from, void* to, size_t bytes) {
        in.seekg(static_cast<std::streamoff>(from));
        in.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
        return in.good();
    };
    ElfW(Ehdr) header;
    if (!read(0, &header, sizeof header)) return variables;
    std::vector<ElfW(Shdr)> sections(header.e_shnum);
    if (!read(header.e_shoff, sections.data(), sections.size() * sizeof(ElfW(Shdr))))
        return variables;
    for (const ElfW(Shdr) & table : sections) {
        if (table.sh_type != SHT_SYMTAB || table.sh_link >= sections.size()) continue;
        const ElfW(Shdr) & strings = sections[table.sh_link];
        std::vector<ElfW(Sym)> symbols(table.sh_size / sizeof(ElfW(Sym)));
        std::string names(strings.sh_size, '\0');
        if (!read(table.sh_offset, symbols.data(), table.sh_size) ||
            !read(strings.sh_offset, &names[0], names.size()))
            continue;
        for (const ElfW(Sym) & symbol : symbols) {
            if (ELF64_ST_TYPE(symbol.st_info) != STT_TLS || symbol.st_name >= names.size())
                continue;
            // _ZZ <a function> E <its variable>
            const char* const name = &names[symbol.st_name];
            if (std::strncmp(name, "_ZZN5pycnn4cuda", 15) == 0)
                variables.push_back({static_cast<size_t>(symbol.st_value), symbol.st_size});
        }
    }
    return variables;
}

}  // namespace

std::vector<SharedArrays::Span> SharedArrays::find() {
    const Module module = this_module();
    static const std::vector<Variable> variables = variables_of_kernels(module.file);
    std::vector<Span> spans;
    if (module.variables != nullptr)
        for (const Variable& v : variables) spans.push_back({module.variables + v.offset, v.bytes});
    return spans;
}

void SharedArrays::poison(const void* kernel) {
    if (!found_) {
        all_ = find();
        found_ = true;
    }
    first_ = false;
    if (kernel != kernel_) {
        const auto entry = of_.try_emplace(kernel);
        kernel_ = kernel, now_ = &entry.first->second, first_ = entry.second;
    }
    for (const Span& s : first_ ? all_ : *now_) std::memset(s.data, 0xff, s.bytes);
}

void SharedArrays::done() {
    if (!first_) return;
    const auto used = [](const Span& s) {
        return std::any_of(s.data, s.data + s.bytes, [](char c) { return c != '\xff'; });
    };
    std::copy_if(all_.begin(), all_.end(), std::back_inserter(*now_), used);
}

}  // namespace pycnn::emulator

#endif
