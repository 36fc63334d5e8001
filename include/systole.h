/* The Systole driver for C and C++. Made by `cargo xtask header` from the library's own definitions.
 *
 * Every function that returns int32_t gives SYSTOLE_OK or an error, whose text systole_last_error has.
 * Functions may be called from several threads at once. Link with -lsystole_c.
 */
#ifndef SYSTOLE_H
#define SYSTOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Done. */
#define SYSTOLE_OK 0
/* The call itself is wrong: a null pointer, a length, a name. */
#define SYSTOLE_ERROR_USAGE 1
/* The bundle cannot be read, or the data do not fit its network. */
#define SYSTOLE_ERROR_BUNDLE 2
/* A board cannot be opened, or holds another design. */
#define SYSTOLE_ERROR_BOARD 3
/* No answer within the time given. */
#define SYSTOLE_ERROR_DEADLINE 4
/* The batch was cancelled. */
#define SYSTOLE_ERROR_CANCELLED 5
/* The boards failed while the batch was under way. */
#define SYSTOLE_ERROR_FAILED 6
/* A defect of this library. */
#define SYSTOLE_ERROR_INTERNAL 7
/* Dimensions that a tensor can have. */
#define SYSTOLE_MAX_RANK 8

/* Open boards behind one queue. */
typedef struct systole_boards systole_boards;

/* A batch under way. */
typedef struct systole_pending systole_pending;

/* A tensor on the host's side. Batches hold its samples one after another, row-major. */
typedef struct systole_tensor {
    /* Element type: "float32", "int8", "uint8", "int16" ... or "bool" (a byte, 0 or 1). */
    char element[16];
    /* Bytes of one element. */
    size_t element_bytes;
    /* Number of dimensions of one sample. */
    size_t rank;
    /* Dimensions of one sample, outermost first. */
    size_t shape[SYSTOLE_MAX_RANK];
    /* Bytes of one sample. */
    size_t sample_bytes;
} systole_tensor;

/* What the driver has counted since the boards were opened, over all of them. */
typedef struct systole_statistics {
    /* Frames that ended with an answer. */
    uint64_t answered;
    /* Frames that ended with an error on one board; another may have answered them. */
    uint64_t failed;
    /* Samples in answers. */
    uint64_t samples;
    /* Frames that were sent again. */
    uint64_t replays;
    /* Times that a board was reset after a fault. */
    uint64_t recoveries;
    /* Boards that were given up. */
    uint64_t boards_failed;
    /* Samples a second, from the first request to the latest answer. */
    double samples_per_second;
    /* Half of the frames took at most about so many microseconds. */
    double latency_median_us;
    /* All but a hundredth of the frames took at most about so many microseconds. */
    double latency_p99_us;
} systole_statistics;

/* Opens boards for a bundle. Each name is "xdma:" and the prefix of the device nodes, such as
 * "xdma:/dev/xdma0". A board that holds another design is refused with both hashes in the text. */
int32_t systole_open(const char *bundle, const char *const *boards, size_t count, systole_boards **opened);

/* Closes boards. Batches under way end with an error; they must still be waited for or cancelled. */
void systole_close(systole_boards *boards);

/* The text of this thread's latest error; empty if there was none. Valid until the thread's next call. */
const char *systole_last_error(void);

/* Describes the network's input. */
int32_t systole_input(const systole_boards *boards, systole_tensor *tensor);

/* Describes the network's output. */
int32_t systole_output(const systole_boards *boards, systole_tensor *tensor);

/* Computes a batch and waits for it. Both lengths are in bytes and fit the number of samples. */
int32_t systole_infer(const systole_boards *boards, const void *input, size_t input_bytes, void *output, size_t output_bytes, size_t samples, uint32_t timeout_ms);

/* Sends a batch off and returns; input is free again afterwards. Several may be under way. */
int32_t systole_begin(const systole_boards *boards, const void *input, size_t input_bytes, size_t samples, uint32_t timeout_ms, systole_pending **pending);

/* Waits for a batch and frees its handle, whatever the status. It ends within the batch's time. */
int32_t systole_wait(systole_pending *pending, void *output, size_t output_bytes);

/* Takes a batch back and frees its handle. */
void systole_cancel(systole_pending *pending);

/* Reads what the driver has counted. */
int32_t systole_read_statistics(const systole_boards *boards, systole_statistics *statistics);

#ifdef __cplusplus
}
#endif

/* The shell's registers: 32 bits each, at byte offsets of the register BAR, for diagnosis.
 * (The functions above do all that is needed.) */
#define SYSTOLE_REGISTER_MAP_VERSION "1.0"
#define SYSTOLE_MAGIC_VALUE 0x53595354u
#define SYSTOLE_ABI_VALUE 0x00010000u

/* a shell answers here; ro */
#define SYSTOLE_REG_MAGIC 0x00u

/* version of this map: major << 16 | minor; ro */
#define SYSTOLE_REG_ABI 0x04u

/* the manifest's structure hash, first byte lowest; ro (4 words, low word first) */
#define SYSTOLE_REG_STRUCTURE_HASH 0x08u

/* the manifest's parameter hash, first byte lowest; ro (4 words, low word first) */
#define SYSTOLE_REG_PARAMETER_HASH 0x18u

/* what the shell can do; ro */
#define SYSTOLE_REG_CAPS 0x28u
#define SYSTOLE_REG_CAPS_CHANNELS 0xfu /* stream channels each way */
#define SYSTOLE_REG_CAPS_CREDIT 0x100u /* answers can be limited by credit */
#define SYSTOLE_REG_CAPS_HEADER_CRC 0x200u /* the header CRC is checked and made */
#define SYSTOLE_REG_CAPS_INTERRUPT 0x400u /* there is an interrupt line */

/* bytes of a beat, both ways; ro */
#define SYSTOLE_REG_BEAT_BYTES 0x2cu

/* payload bytes of a sample to the board, whole beats; ro */
#define SYSTOLE_REG_IN_BYTES 0x30u

/* payload bytes of a sample from the board, whole beats; ro */
#define SYSTOLE_REG_OUT_BYTES 0x34u

/* samples that a frame can have; ro */
#define SYSTOLE_REG_MAX_SAMPLES 0x38u

/* frames that the shell keeps account of at once; ro */
#define SYSTOLE_REG_FIFO_DEPTH 0x3cu

/* what the shell shall do; rw */
#define SYSTOLE_REG_CTRL 0x40u
#define SYSTOLE_REG_CTRL_ENABLE 0x1u /* take frames */
#define SYSTOLE_REG_CTRL_DRAIN 0x2u /* take no new frame, finish those inside */
#define SYSTOLE_REG_CTRL_SOFT_RESET 0x4u /* reset core, parser and builder; clears itself */
#define SYSTOLE_REG_CTRL_LATCH_COUNTERS 0x8u /* copy the running counters to 80 and up; clears itself */
#define SYSTOLE_REG_CTRL_CREDIT 0x10u /* an answer leaves only against a credit */

/* what the shell does; ro */
#define SYSTOLE_REG_STATUS 0x44u
#define SYSTOLE_REG_STATUS_IDLE 0x1u /* no frame inside */
#define SYSTOLE_REG_STATUS_RUN 0x2u /* frames are taken */
#define SYSTOLE_REG_STATUS_DRAINING 0x4u /* DRAIN is set and a frame is inside */
#define SYSTOLE_REG_STATUS_HALTED 0x8u /* stopped by an error until SOFT_RESET */
#define SYSTOLE_REG_STATUS_RESET_DONE 0x10u /* the last soft reset is complete */
#define SYSTOLE_REG_STATUS_IN_STALL 0x20u /* a beat waits at the input and is not taken */
#define SYSTOLE_REG_STATUS_OUT_STALL 0x40u /* a beat waits at the output and is not taken */

/* what went wrong; w1c */
#define SYSTOLE_REG_ERROR 0x48u
#define SYSTOLE_REG_ERROR_HEADER 0x1u /* a header's magic, version or number of samples */
#define SYSTOLE_REG_ERROR_HASH 0x2u /* a header's design hash */
#define SYSTOLE_REG_ERROR_EPOCH 0x4u /* a header's epoch is not EPOCH */
#define SYSTOLE_REG_ERROR_LENGTH 0x8u /* a header's payload length is not samples x IN_BYTES */
#define SYSTOLE_REG_ERROR_SEQUENCE 0x10u /* a header's sequence is not the next one */
#define SYSTOLE_REG_ERROR_TKEEP_HOLE 0x20u /* an input beat with bytes missing */
#define SYSTOLE_REG_ERROR_CRC 0x40u /* a header's CRC */
#define SYSTOLE_REG_ERROR_OVERFLOW 0x80u /* more credits than OUT_CREDIT can count */
#define SYSTOLE_REG_ERROR_WATCHDOG 0x100u /* work inside and no beat moved for WATCHDOG_CYCLES */

/* sequence of the frame at the first error; ro */
#define SYSTOLE_REG_FIRST_ERROR_SEQ 0x4cu

/* the epoch that headers must carry; rw */
#define SYSTOLE_REG_EPOCH 0x50u

/* cycles without a beat until the watchdog halts; 0: off; rw */
#define SYSTOLE_REG_WATCHDOG_CYCLES 0x54u

/* answers that may leave while CTRL.CREDIT is set; add */
#define SYSTOLE_REG_OUT_CREDIT 0x58u

/* interrupts that are pending; w1c */
#define SYSTOLE_REG_IRQ_STATUS 0x5cu
#define SYSTOLE_REG_IRQ_STATUS_ANSWER 0x1u /* IRQ_COALESCE answers have left */
#define SYSTOLE_REG_IRQ_STATUS_ERROR 0x2u /* an ERROR bit was set */
#define SYSTOLE_REG_IRQ_STATUS_DONE 0x4u /* drained, or a soft reset is complete */

/* interrupts that raise the line; rw */
#define SYSTOLE_REG_IRQ_MASK 0x60u
#define SYSTOLE_REG_IRQ_MASK_ANSWER 0x1u /* IRQ_COALESCE answers have left */
#define SYSTOLE_REG_IRQ_MASK_ERROR 0x2u /* an ERROR bit was set */
#define SYSTOLE_REG_IRQ_MASK_DONE 0x4u /* drained, or a soft reset is complete */

/* answers until IRQ_STATUS.ANSWER is set; rw */
#define SYSTOLE_REG_IRQ_COALESCE 0x64u

/* holds what was written, for tests of the link; rw */
#define SYSTOLE_REG_SCRATCH 0x70u

/* latched: cycles since reset; ro (2 words, low word first) */
#define SYSTOLE_REG_CYCLES 0x80u

/* latched: answers sent; ro (2 words, low word first) */
#define SYSTOLE_REG_FRAMES 0x88u

/* latched: beats taken from the host; ro (2 words, low word first) */
#define SYSTOLE_REG_BEATS_IN 0x90u

/* latched: beats sent to the host; ro (2 words, low word first) */
#define SYSTOLE_REG_BEATS_OUT 0x98u

/* latched: cycles in which an input beat waited; ro (2 words, low word first) */
#define SYSTOLE_REG_STALLS_IN 0xa0u

/* latched: cycles in which an output beat waited; ro (2 words, low word first) */
#define SYSTOLE_REG_STALLS_OUT 0xa8u

/* latched: input beats discarded during soft resets; ro (2 words, low word first) */
#define SYSTOLE_REG_DROPPED 0xb0u

/* Byte offsets in the 64-byte header of a frame. */
#define SYSTOLE_FRAME_HEADER_BYTES 64 /* bytes of a header */
#define SYSTOLE_FRAME_MAGIC_VALUE 0x46535953u /* what `magic` holds */
#define SYSTOLE_FRAME_MAGIC 0 /* `SYSF` in memory */
#define SYSTOLE_FRAME_VERSION 4 /* 1 */
#define SYSTOLE_FRAME_FLAGS 6 /* bit 0: an answer */
#define SYSTOLE_FRAME_EPOCH 8 /* the register EPOCH; answers echo it */
#define SYSTOLE_FRAME_SEQUENCE 12 /* counted from 0 in each epoch; answers echo it */
#define SYSTOLE_FRAME_SAMPLES 16 /* 1 to MAX_SAMPLES; answers echo it */
#define SYSTOLE_FRAME_LENGTH 20 /* bytes behind the header: samples x IN_BYTES, in answers x OUT_BYTES */
#define SYSTOLE_FRAME_DESIGN 24 /* word 0 of STRUCTURE_HASH xor word 0 of PARAMETER_HASH */
#define SYSTOLE_FRAME_NETWORK 28 /* 0 */
#define SYSTOLE_FRAME_STATUS 32 /* 0; in answers the bits of ERROR */
#define SYSTOLE_FRAME_RESERVED 36 /* 0 */
#define SYSTOLE_FRAME_CRC 60 /* CRC-32 of bytes 0 to 59 */

#endif
