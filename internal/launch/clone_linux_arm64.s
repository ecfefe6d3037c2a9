#include "textflag.h"

// func rawClone3(args *cloneArgs, size uintptr, j *job) int
TEXT ·rawClone3(SB),NOSPLIT,$0-32
	MOVD args+0(FP), R0
	MOVD size+8(FP), R1
	MOVD j+16(FP), R19
	MOVD $435, R8
	SVC
	CBZ  R0, child
	MOVD R0, ret+24(FP)
	RET

child:
	// A new stack; g (R28) is the parent's.
	SUB  $64, RSP
	MOVD R19, 8(RSP)
	CALL ·runChild(SB)
	BRK

// func rawSyscall(nr, a0, a1, a2, a3, a4, a5 uintptr) uintptr
TEXT ·rawSyscall(SB),NOSPLIT,$0-64
	MOVD nr+0(FP), R8
	MOVD a0+8(FP), R0
	MOVD a1+16(FP), R1
	MOVD a2+24(FP), R2
	MOVD a3+32(FP), R3
	MOVD a4+40(FP), R4
	MOVD a5+48(FP), R5
	SVC
	MOVD R0, ret+56(FP)
	RET
