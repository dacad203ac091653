// Where a fiber stands, and the change from one to another.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) && !defined(PYCNN_EMULATOR_UCONTEXT)
#define PYCNN_EMULATOR_UCONTEXT
#endif
#ifdef PYCNN_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

namespace pycnn::emulator {

#ifdef PYCNN_EMULATOR_UCONTEXT

// Portable, and slow: the C library asks the system for the signal mask at every change.
class Context {
  public:
    // The next change to it calls entry(), which never returns, on the stack.
    void prepare(char* stack, size_t bytes, void (*entry)()) {
        getcontext(&context_);
        context_.uc_stack.ss_sp = stack;
        context_.uc_stack.ss_size = bytes;
        context_.uc_link = nullptr;
        makecontext(&context_, entry, 0);
    }
    static void change(Context& from, Context& to) { swapcontext(&from.context_, &to.context_); }

  private:
    ucontext_t context_;
};

#else

// A function that another calls may change every register but these, so that to the compiler a
// change of stacks is a call like any other.
extern "C" void pycnn_change_stack(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
    .pushsection .text
    .p2align 4
    .hidden pycnn_change_stack
    .globl pycnn_change_stack
    .type pycnn_change_stack, @function
pycnn_change_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size pycnn_change_stack, .-pycnn_change_stack
    .popsection
)");

class Context {
  public:
    void prepare(char* stack, size_t bytes, void (*entry)()) {
        auto* top = reinterpret_cast<void**>(stack + bytes);
        *--top = nullptr;  // entry's own return address: the end of every backtrace
        *--top = reinterpret_cast<void*>(entry);
        for (int i = 0; i < 6; ++i) *--top = nullptr;
        at_ = top;
    }
    static void change(Context& from, Context& to) { pycnn_change_stack(&from.at_, to.at_); }

  private:
    void* at_ = nullptr;
};

#endif

}  // namespace pycnn::emulator
