// Two stages between an input and an output stream, 2 lanes of 8 bits, 2 pixels of 3 channels a
// sample. Each stage adds a constant to every element. The ROM image chooses the constants and,
// for tests of the monitors, a fault.
module tiny (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire [15:0] s_axis_tdata,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    input  wire        s_axis_tlast,
    output wire [15:0] m_axis_tdata,
    output wire        m_axis_tvalid,
    input  wire        m_axis_tready,
    output wire        m_axis_tlast
);
    reg [7:0] settings [0:2];
    initial $readmemh("rom/settings.hex", settings);
    wire [7:0] fault = settings[0];

    wire [15:0] a_data;
    wire        a_valid;
    wire        a_ready;
    reg  [1:0]  beat;

    tiny_stage stage_a (
        .aclk(aclk), .aresetn(aresetn), .constant(settings[1]), .fault(fault),
        .in_data(s_axis_tdata), .in_valid(s_axis_tvalid), .in_ready(s_axis_tready),
        .out_data(a_data), .out_valid(a_valid), .out_ready(a_ready)
    );
    // Fault 4: the second stage makes up for the beat that the first one loses. Fault 6: TLAST early.
    // Fault 10: the second stage takes nothing after its fifth beat.
    tiny_stage stage_b (
        .aclk(aclk), .aresetn(aresetn), .constant(settings[2]),
        .fault(fault == 8'd4 ? 8'd5 : fault == 8'd10 ? 8'd9 : 8'd0),
        .in_data(a_data), .in_valid(a_valid), .in_ready(a_ready),
        .out_data(m_axis_tdata), .out_valid(m_axis_tvalid), .out_ready(m_axis_tready)
    );
    assign m_axis_tlast = beat == (fault == 8'd6 ? 2'd2 : 2'd3);
    always @(posedge aclk) begin
        if (!aresetn) beat <= 2'd0;
        else if (m_axis_tvalid && m_axis_tready) beat <= beat + 2'd1;
        if (fault == 8'd13 && aresetn && beat == 2'd2) $finish;
    end
    wire unused = s_axis_tlast;
endmodule

// A queue of two beats behind an adder.
module tiny_stage (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire [7:0]  constant,
    input  wire [7:0]  fault,
    input  wire [15:0] in_data,
    input  wire        in_valid,
    output wire        in_ready,
    output wire [15:0] out_data,
    output wire        out_valid,
    input  wire        out_ready
);
    reg [15:0] head, tail;
    reg [1:0]  count;
    reg        half;     // which beat of the pixel comes in next
    reg        stalled;  // a beat was on offer and not taken
    reg [2:0]  taken;    // beats taken in, saturating

    wire stop = (fault == 8'd9) && (taken >= 3'd5);
    assign in_ready  = (count != 2'd2) && !stop;
    assign out_valid = fault == 8'd1 ? (count != 2'd0) && !stalled
                     : fault == 8'd7 ? (count != 2'd0) && out_ready
                     : fault == 8'd11 ? 1'b1
                     : (count != 2'd0);
    assign out_data  = fault == 8'd2 && stalled ? head ^ 16'h0001 : head;

    wire [7:0]  low  = in_data[7:0] + constant;
    wire [7:0]  high = half ? (fault == 8'd8 ? 8'd1 : 8'd0) : in_data[15:8] + constant;
    wire [15:0] sum  = {high, low};
    wire lose  = (fault == 8'd3 || fault == 8'd4) && taken == 3'd1;
        wire push  = in_valid && in_ready && !lose;
    wire pop   = out_valid && out_ready && count != 2'd0;
    wire twice = fault == 8'd5 && taken == 3'd1 && count == {1'b0, pop};

    always @(posedge aclk) begin
        if (!aresetn) begin
            count   <= 2'd0;
            half    <= 1'b0;
            stalled <= 1'b0;
            taken   <= 3'd0;
        end else begin
            stalled <= out_valid && !out_ready;
            count   <= count + {1'b0, push} + {1'b0, push && twice} - {1'b0, pop};
            if (in_valid && in_ready) begin
                half <= !half;
                if (taken != 3'd7) taken <= taken + 3'd1;
            end
        end
        if (pop) head <= tail;
        if (push) begin
            if (count - {1'b0, pop} == 2'd0) head <= sum;
            tail <= sum;
        end
    end
endmodule
