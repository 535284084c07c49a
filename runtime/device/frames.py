"""Frames that lie on the device go into the encoder's picture by a kernel: no copy, nothing over the host.

It does what `cnnrnn.runtime.image` does on the host: grey to colour, alpha onto white, the order of channels,
and the fit, by OpenCV's own arithmetic: INTER_LINEAR in integers (bit for bit), INTER_AREA in float32, where
the order of a sum may differ, so that a byte may by 1.
"""

from __future__ import annotations

import numpy as np

from cnnrnn.core.errors import DeviceError, ImageError
from cnnrnn.runtime.device.protocol import Device, Kernel, Stream
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.image import fitted

SOURCE = r"""
struct Frame {
    const unsigned char *bytes;
    long long row_bytes;
    int height, width, channels, is_bgr;
};

// One of R, G and B, from 0, of a pixel: grey repeated, alpha laid onto white.
__device__ int channel_of(const Frame &frame, int y, int x, int channel) {
    const unsigned char *pixel = frame.bytes + y * frame.row_bytes + (long long)x * frame.channels;
    if (frame.channels == 1) return pixel[0];
    const int value = pixel[frame.is_bgr ? 2 - channel : channel];
    if (frame.channels == 3) return value;
    return (value * pixel[3] + 255 * (255 - pixel[3]) + 127) / 255;
}

// The two pixels that one lies between, when `from` become `to`, and the weight of the second, of 2048.
__device__ void neighbours(int place, int from, int to, int *first, int *second, int *weight) {
    const double scale = 1.0 / ((double)to / from);
    float at = (float)(__dmul_rn(place + 0.5, scale) - 0.5);
    int before = (int)floorf(at);
    at -= before;
    *weight = (int)rintf(at * 2048);
    *first = before < 0 ? 0 : before;
    *second = before + 1 < from ? before + 1 : from - 1;
}

__device__ int enlarged(const Frame &frame, int y, int x, int height, int width, int channel) {
    int x0, x1, right, y0, y1, below;
    neighbours(x, frame.width, width, &x0, &x1, &right);
    neighbours(y, frame.height, height, &y0, &y1, &below);
    const int left = 2048 - right, above = 2048 - below;
    const int upper = channel_of(frame, y0, x0, channel) * left + channel_of(frame, y0, x1, channel) * right;
    const int lower = channel_of(frame, y1, x0, channel) * left + channel_of(frame, y1, x1, channel) * right;
    return (((above * (upper >> 4)) >> 16) + ((below * (lower >> 4)) >> 16) + 2) >> 2;
}

// The pixels that one covers, when `from` become `to`: from `first` up to `last`; the share of it that the
// first and the last have, and each between.
struct Cover {
    int first, last;
    float head, body, tail;
};

__device__ Cover cover_of(int place, int from, int to) {
    const double scale = 1.0 / ((double)to / from);
    const double begin = __dmul_rn(place, scale), end = begin + scale;
    const double size = scale < from - begin ? scale : from - begin;
    int last = (int)floor(end), first = (int)ceil(begin);
    if (last > from - 1) last = from - 1;
    if (first > last) first = last;
    Cover cover = {first, last - 1, (float)(1.0 / size), (float)(1.0 / size), (float)(1.0 / size)};
    if (first - begin > 1e-3) {
        cover.first = first - 1;
        cover.head = (float)((first - begin) / size);
    }
    if (end - last > 1e-3) {
        const double left = end - last < 1.0 ? end - last : 1.0;
        cover.last = last;
        cover.tail = (float)((left < size ? left : size) / size);
        if (cover.first == last) cover.head = cover.tail;
    }
    return cover;
}

__device__ float share(const Cover &cover, int place) {
    return place == cover.first ? cover.head : place == cover.last ? cover.tail : cover.body;
}

__device__ int averaged(const Frame &frame, int y, int x, int height, int width, int channel) {
    const double high = 1.0 / ((double)height / frame.height), wide = 1.0 / ((double)width / frame.width);
    const int rows = (int)rint(high), columns = (int)rint(wide);
    if (fabs(high - rows) < 2.220446049250313e-16 && fabs(wide - columns) < 2.220446049250313e-16) {
        int sum = 0;
        for (int j = 0; j < rows; j++)
            for (int i = 0; i < columns; i++)
                sum += channel_of(frame, y * rows + j, x * columns + i, channel);
        if (rows == 2 && columns == 2) return (sum + 2) >> 2;
        return (int)rintf(sum * (1.0f / (rows * columns)));
    }
    const Cover down = cover_of(y, frame.height, height), across = cover_of(x, frame.width, width);
    float sum = 0;
    for (int j = down.first; j <= down.last; j++) {
        float row = 0;
        for (int i = across.first; i <= across.last; i++)
            row = __fadd_rn(row, __fmul_rn((float)channel_of(frame, j, i, channel), share(across, i)));
        sum = __fadd_rn(sum, __fmul_rn(row, share(down, j)));
    }
    const int found = (int)rintf(sum);
    return found < 0 ? 0 : found > 255 ? 255 : found;
}

// Writes one picture (out_height, out_width, 3) RGB: the frame, resized to height x width with its corner at
// (top, left), which a crop has outside; around it the fill, 0xRRGGBB. A thread for each of its pixels.
extern "C" __global__ void fit_frame(unsigned char *out, const unsigned char *bytes, long long row_bytes,
                                     int frame_height, int frame_width, int channels, int is_bgr,
                                     int out_height, int out_width, int height, int width, int top, int left,
                                     int fill) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= out_height * out_width) return;
    const Frame frame = {bytes, row_bytes, frame_height, frame_width, channels, is_bgr};
    const int y = pixel / out_width - top, x = pixel % out_width - left;
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    const bool same = height == frame_height && width == frame_width;
    const bool shrinks = height <= frame_height && width <= frame_width;
    for (int channel = 0; channel < 3; channel++) {
        int value = fill >> (16 - 8 * channel) & 255;
        if (inside)
            value = same      ? channel_of(frame, y, x, channel)
                    : shrinks ? averaged(frame, y, x, height, width, channel)
                              : enlarged(frame, y, x, height, width, channel);
        out[(long long)pixel * 3 + channel] = (unsigned char)value;
    }
}
"""
BLOCK = 256


def check_frame(device: Device, frame: DeviceFrame) -> None:
    """Refuse a frame that kernels on this device cannot read; called within the device's context.

    Raises:
        ImageError: it is on another GPU, or its address is none of a GPU's.
        DeviceError: the driver failed.
    """
    own, found = device.info.ordinal, device.owner(frame.address)
    for where in (frame.device, found):
        if where is not None and where != own:
            raise ImageError(
                f"{frame.what} lies on GPU {where}, and the model runs on GPU {own}; load it with "
                f"device={where}, or copy the frame there first"
            )
    if found is None:
        raise ImageError(
            f"{frame.what} says that it lies on a GPU, and its address {frame.address:#x} is not one that "
            "the driver knows: the memory was freed, or it is the host's"
        )


def draw(stream: Stream, kernel: Kernel, frame: DeviceFrame, address: int) -> None:
    """Queue writing a frame, as the encoder takes it, to (H, W, 3) bytes at an address.

    Args:
        kernel: ``fit_frame`` of `SOURCE`.
    """
    spec = frame.image
    place = fitted(frame.height, frame.width, spec)
    red, green, blue = spec.fill
    stream.launch(
        kernel,
        np.uint64(address),
        np.uint64(frame.address),
        np.int64(frame.row_bytes),
        *map(
            np.int32,
            (
                *(frame.height, frame.width, frame.channels, frame.color == "bgr"),
                *(spec.height, spec.width, place.height, place.width, place.top, place.left),
                red << 16 | green << 8 | blue,
            ),
        ),
        grid=-(-spec.height * spec.width // BLOCK),
        block=BLOCK,
    )


def begin_reading(device: Device, stream: Stream, frame: DeviceFrame) -> None:
    """Let the stream wait for what was queued to write the frame.

    Raises:
        ImageError: the frame's stream cannot be waited for.
    """
    try:
        if frame.stream is not None:
            device.order(frame.stream, stream.handle)
        elif frame.offer is not None:
            frame.offer(stream.handle)
    except (DeviceError, BufferError, RuntimeError) as error:
        raise ImageError(
            f"{frame.what} cannot be waited for: its stream is gone, or of another context: {error}"
        ) from error


def end_reading(device: Device, stream: Stream, frame: DeviceFrame) -> None:
    """Let the frame's own stream wait until it was read, so that the next may be written in its place."""
    if frame.stream is not None:
        device.order(stream.handle, frame.stream)
