#include "textflag.h"

// func rawClone3(args *cloneArgs, size uintptr, j *job) int
TEXT ·rawClone3(SB),NOSPLIT,$0-32
	MOVQ args+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ j+16(FP), R12
	MOVQ $435, AX
	SYSCALL
	TESTQ AX, AX
	JZ   child
	MOVQ AX, ret+24(FP)
	RET

child:
	// A new stack, the parent's thread-local storage: g is still found there.
	ANDQ $~15, SP
	SUBQ $64, SP
	MOVQ R12, 0(SP)
	CALL ·runChild(SB)
	INT  $3

// func rawSyscall(nr, a0, a1, a2, a3, a4, a5 uintptr) uintptr
TEXT ·rawSyscall(SB),NOSPLIT|NOFRAME,$0-64
	MOVQ nr+0(FP), AX
	MOVQ a0+8(FP), DI
	MOVQ a1+16(FP), SI
	MOVQ a2+24(FP), DX
	MOVQ a3+32(FP), R10
	MOVQ a4+40(FP), R8
	MOVQ a5+48(FP), R9
	SYSCALL
	MOVQ AX, ret+56(FP)
	RET
