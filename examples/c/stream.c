/* Streams samples to boards and prints the class of each: the output with the greatest value.
 *
 *     cc -o stream examples/c/stream.c -Iinclude -Ltarget/release -lsystole_c
 *     ./stream BUNDLE samples.bin xdma:/dev/xdma0 [xdma:/dev/xdma1 ...]
 *
 * samples.bin holds samples one after another in the type and shape of the network's input.
 */
#include "systole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, IN_FLIGHT = 8, TIMEOUT_MS = 10000 };

static void check(int32_t status, const char *what) {
    if (status != SYSTOLE_OK) {
        fprintf(stderr, "%s: %s\n", what, systole_last_error());
        exit(1);
    }
}

static double element(const systole_tensor *tensor, const unsigned char *sample, size_t index) {
    const unsigned char *at = sample + index * tensor->element_bytes;
    if (!strcmp(tensor->element, "float32")) {
        float value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    int64_t value = 0;
    int is_signed = tensor->element[0] == 'i';
    switch (tensor->element_bytes) {
    case 1: value = is_signed ? (int8_t)*at : *at; break;
    case 2: { uint16_t word; memcpy(&word, at, 2); value = is_signed ? (int16_t)word : word; break; }
    case 4: { uint32_t word; memcpy(&word, at, 4); value = is_signed ? (int32_t)word : (int64_t)word; break; }
    default: memcpy(&value, at, 8); break;
    }
    return (double)value;
}

/* Waits for a batch and prints its samples' classes. */
static void finish(systole_pending *pending, const systole_tensor *tensor, unsigned char *outputs, size_t samples) {
    check(systole_wait(pending, outputs, samples * tensor->sample_bytes), "batch");
    size_t count = tensor->sample_bytes / tensor->element_bytes;
    for (size_t sample = 0; sample < samples; sample++) {
        const unsigned char *at = outputs + sample * tensor->sample_bytes;
        size_t best = 0;
        for (size_t index = 1; index < count; index++) {
            if (element(tensor, at, index) > element(tensor, at, best)) best = index;
        }
        printf("%zu\n", best);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s BUNDLE SAMPLES BOARD...\n", argv[0]);
        return 2;
    }
    systole_boards *boards;
    check(systole_open(argv[1], (const char *const *)&argv[3], (size_t)(argc - 3), &boards), "open");
    systole_tensor input, output;
    check(systole_input(boards, &input), "input");
    check(systole_output(boards, &output), "output");

    FILE *file = fopen(argv[2], "rb");
    unsigned char *samples = malloc(BATCH * input.sample_bytes);
    unsigned char *outputs = malloc(BATCH * output.sample_bytes);
    if (!file || !samples || !outputs) {
        perror(argv[2]);
        return 1;
    }

    /* A ring of batches under way: the oldest is waited for when the ring is full. */
    systole_pending *ring[IN_FLIGHT];
    size_t sizes[IN_FLIGHT], begun = 0, finished = 0, count;
    while ((count = fread(samples, input.sample_bytes, BATCH, file)) > 0) {
        if (begun - finished == IN_FLIGHT) {
            finish(ring[finished % IN_FLIGHT], &output, outputs, sizes[finished % IN_FLIGHT]);
            finished++;
        }
        check(systole_begin(boards, samples, count * input.sample_bytes, count, TIMEOUT_MS, &ring[begun % IN_FLIGHT]),
              "begin");
        sizes[begun++ % IN_FLIGHT] = count;
    }
    for (; finished < begun; finished++) {
        finish(ring[finished % IN_FLIGHT], &output, outputs, sizes[finished % IN_FLIGHT]);
    }

    systole_statistics statistics;
    check(systole_read_statistics(boards, &statistics), "statistics");
    fprintf(stderr, "%llu samples, %.0f a second, half of the frames within %.0f us\n",
            (unsigned long long)statistics.samples, statistics.samples_per_second, statistics.latency_median_us);
    systole_close(boards);
    fclose(file);
    free(samples);
    free(outputs);
    return 0;
}
